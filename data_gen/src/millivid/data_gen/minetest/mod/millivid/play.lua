-- Puts the player where the recording process says, one command at a time.
--
-- Commands are lines in a named pipe in the world's folder:
--   load N X Y Z RADIUS LOW HIGH   send the map around a block (block coordinates)
--   pose N X Y Z YAW PITCH FRAMES  stand there (the eye; radians, as the game counts them) for some frames at least
-- The client's mod (millivid_view) shows N on the screen once the command is done *and seen*.

local EYE_HEIGHT = 1.625
local channel = minetest.mod_channel_join("millivid")
local player, commands
local sent = {}

minetest.register_on_joinplayer(function(who)
	player = who
	who:hud_set_flags({
		hotbar = false, healthbar = false, crosshair = false, wielditem = false, breathbar = false,
		minimap = false, minimap_radar = false, basic_debug = false,
	})
	who:set_properties({ eye_height = EYE_HEIGHT, stepheight = 0, collide_with_objects = false })
	who:set_physics_override({ speed = 0, jump = 0, gravity = 0, sneak = false })
	who:set_fov(tonumber(minetest.settings:get("millivid_fov")))
	who:set_clouds({ density = 0 })
	who:set_stars({ visible = false })
	-- The game's own sky changes slowly, with time and with what is seen of it; pictures do not. Ours are blue above and
	-- pale (#b2d4f0) at the horizon and below, and have no seams.
	local side = "millivid_side.png"
	who:set_sky({
		type = "skybox", clouds = false, base_color = "#b2d4f0",
		textures = { "millivid_top.png", "millivid_bottom.png", side, side, side, side },
	})
	who:set_moon({ visible = false })
	who:set_sun({ visible = true, sunrise_visible = false })
	who:override_day_night_ratio(1)
	minetest.set_timeofday(tonumber(minetest.settings:get("millivid_time")))
end)

-- The client says so when it listens.
minetest.register_on_modchannel_message(function(_, _, message)
	if message == "ready" and not commands then
		commands = assert(io.open(minetest.get_worldpath() .. "/commands", "r"))
	end
end)

local function load_blocks(x, y, z, radius, low, high)
	for bx = x - radius, x + radius do
		for bz = z - radius, z + radius do
			for by = low, high do
				local key = bx .. "," .. by .. "," .. bz
				if not sent[key] then
					local block = vector.new(bx, by, bz)
					local node = vector.multiply(block, 16)
					minetest.load_area(node)
					player:send_mapblock(block)
					sent[key] = true
				end
			end
		end
	end
end

minetest.register_globalstep(function()
	if not commands then
		return
	end
	-- Waiting here stops the server, which is as it should be: nothing happens between two commands.
	local line = commands:read("*l")
	if not line then
		minetest.request_shutdown() -- the recording process has ended
		commands = nil
		return
	end
	local words = line:split(" ")
	local kind = table.remove(words, 1)
	local n, x, y, z, a, b, c = unpack(words)
	if kind == "load" then
		load_blocks(tonumber(x), tonumber(y), tonumber(z), tonumber(a), tonumber(b), tonumber(c))
	else
		player:set_look_horizontal(tonumber(a))
		player:set_look_vertical(tonumber(b))
		player:set_pos(vector.new(tonumber(x), tonumber(y) - EYE_HEIGHT, tonumber(z)))
	end
	channel:send_all(line)
end)
