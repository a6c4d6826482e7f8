// Where frames come from: a server at the other end of a WebSocket. Whoever offers the same methods and calls the same handlers
// can take its place.

export const PROTOCOL = 1;
export const makeEngine = (handlers) => new ServerEngine(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/walk`, handlers);
const HEADER = 16;

/** Handlers: begun(settings), image(place, number, stamp, image), thumbnail(level, column, frame, image), state(values), told(text),
 *  saved(values), lost(text), and loading(share, or null when it is over). Images are ImageBitmaps. */
export class ServerEngine {
  constructor(address, handlers) {
    this.address = address;
    this.handlers = handlers;
    this.wait = 500;
    this.ended = false;
    this.images = [];
    this.connect();
  }

  connect() {
    this.socket = new WebSocket(this.address);
    this.socket.binaryType = "arraybuffer";
    this.order = Promise.resolve();
    this.count = 0;
    this.socket.onopen = () => this.send({ type: "hello", protocol: PROTOCOL });
    this.socket.onmessage = ({ data }) => {
      this.order = this.order.then(() => (typeof data === "string" ? this.heard(JSON.parse(data)) : this.seen(data))).catch(() => {});
    };
    this.socket.onclose = () => {
      if (this.ended) return;
      this.handlers.lost("The connection is lost; trying again …");
      setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(2 * this.wait, 8000);
    };
  }

  heard(message) {
    if (message.type === "begun") {
      this.wait = 500;
      this.count = 0;
      this.settings = message;
      this.handlers.begun({ keeps: ["save", "gif", "mp4"], ...message });
    } else if (message.type === "state") this.handlers.state(message);
    else if (message.type === "saved" || message.type === "shared") this.handlers.saved(message);
    else if (message.type === "told") this.handlers.told(message.message);
    else if (message.type === "wait") {
      this.ended = true;
      this.handlers.told(`${message.sessions} others are walking. Wait until one leaves, then reload this page.`);
    } else if (message.type === "error") {
      this.ended = true;
      this.handlers.told(message.message);
    }
  }

  async seen(data) {
    const view = new DataView(data);
    const [kind, place, level] = [view.getUint8(0), view.getUint8(1), view.getUint16(2, true)];
    const [number, stamp] = [view.getUint32(4, true), view.getFloat64(8, true)];
    const image = await createImageBitmap(new Blob([new Uint8Array(data, HEADER)], { type: "image/jpeg" }));
    if (kind === 1) return this.handlers.thumbnail(level, place, number, image);
    if (place === 0) {
      this.count += 1;
      this.send({ type: "ack", count: this.count });
    }
    this.handlers.image(place, number, stamp, image);
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  press(action) { this.send({ type: "key", action, stamp: performance.now() }); }
  rewind(frame) { this.send({ type: "rewind", frame }); }
  truth(on) { this.send({ type: "truth", on }); }
  restart(seed, minds) { this.send({ type: "restart", seed, minds }); }
  save() { this.send({ type: "save" }); }
  share(kind) { this.send({ type: "share", kind }); }
}
