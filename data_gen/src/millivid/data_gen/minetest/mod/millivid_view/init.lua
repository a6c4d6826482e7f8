-- Loaded into the game's client: shows two strips, above and below the picture that is recorded, whose colour says
-- which command the picture belongs to. The client alone knows what it has drawn.

local STRIP = tonumber(minetest.settings:get("millivid_strip")) -- height in percent of the window's
local EYE_HEIGHT = 1.625 -- as in play.lua

local wanted, drawn, strips
local channel, ready

-- Nothing is written on the screen: no greetings, no status.
minetest.register_on_receiving_chat_message(function()
	return true
end)

minetest.register_on_modchannel_message(function(_, _, message)
	wanted, drawn = message:split(" "), -1
	for index = 2, #wanted do
		wanted[index] = tonumber(wanted[index])
	end
end)

-- Whether the client has all blocks around; those that the map does not have are not sent either.
local function has_blocks(x, y, z, radius, low, high)
	for bx = x - radius, x + radius do
		for bz = z - radius, z + radius do
			for by = low, high do
				if not minetest.get_node_or_nil(vector.new(bx * 16, by * 16, bz * 16)) then
					return false
				end
			end
		end
	end
	return true
end

-- Whether the frame that is drawn next shows this pose. A packet sets the place at once, the view a frame later.
local function shows(x, y, z, yaw, pitch)
	local at, camera = minetest.localplayer:get_pos(), minetest.camera
	local turn = camera:get_look_horizontal() - math.pi / 2 - yaw
	return vector.distance(at, vector.new(x, y - EYE_HEIGHT, z)) < 1e-3
		and math.abs(math.sin(turn / 2)) < 1e-4 and math.abs(camera:get_look_vertical() + pitch) < 1e-4
end

-- 511 colours, none of them black: three bits for each of red, green and blue.
local function show_number(n)
	local code = n % 511 + 1
	local red, green, blue = math.floor(code / 64), math.floor(code / 8) % 8, code % 8
	local texture = ("millivid_white.png^[colorize:#%02x%02x%02x:255"):format(red * 36, green * 36, blue * 36)
	local me = minetest.localplayer
	if strips then
		for _, strip in ipairs(strips) do
			me:hud_change(strip, "text", texture)
		end
		return
	end
	strips = {}
	for edge = 0, 1 do
		strips[edge + 1] = me:hud_add({
			hud_elem_type = "image",
			text = texture,
			position = { x = 0, y = edge },
			alignment = { x = 1, y = 1 - 2 * edge },
			scale = { x = -100, y = -STRIP },
			offset = { x = 0, y = 0 },
		})
	end
end

minetest.register_globalstep(function()
	if not ready then
		if not (minetest.localplayer and minetest.camera) then
			return -- not in the world yet
		end
		channel = channel or minetest.mod_channel_join("millivid")
		if channel:is_writeable() then
			channel:send_all("ready")
			ready = true
		end
		return
	end
	if not wanted then
		return
	end
	local done
	if wanted[1] == "load" then
		done = has_blocks(unpack(wanted, 3))
	else
		drawn = shows(unpack(wanted, 3)) and drawn + 1 or -1
		done = drawn >= wanted[8]
	end
	if done then
		show_number(wanted[2])
		wanted = nil
	end
end)
