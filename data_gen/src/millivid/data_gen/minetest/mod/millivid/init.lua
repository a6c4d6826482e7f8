-- Loaded into the game's server: makes the world stand still, then either generates a map or plays in one.

local INSECTS = { butterflies = true, fireflies = true }

-- A tile that moves is replaced by its first picture: frames must depend on the pose, not on the time.
local function still(tile)
	if type(tile) ~= "table" then
		return tile
	end
	local animation = tile.animation
	if not animation then
		return tile
	end
	local copy = table.copy(tile)
	local image = tile.name or tile.image
	copy.animation, copy.image = nil, nil
	if animation.type == "sheet_2d" then
		copy.name = ("%s^[sheet:%dx%d:0,0"):format(image, animation.frames_w, animation.frames_h)
	else
		-- The number of pictures is not written anywhere; the game's own strips of square pictures have up to 16,
		-- and the picture that [verticalframe cuts out has to be square.
		copy.name = image .. "^[resize:16x256^[verticalframe:16:0"
	end
	return copy
end

local function make_still(list)
	local copy = {}
	for index, tile in pairs(list or {}) do
		copy[index] = still(tile)
	end
	return copy
end

minetest.register_on_mods_loaded(function()
	for name, definition in pairs(minetest.registered_nodes) do
		if INSECTS[name:match("^(.-):")] then
			minetest.override_item(name, { drawtype = "airlike", walkable = false, light_source = 0 })
		else
			local change = { tiles = make_still(definition.tiles) }
			if definition.special_tiles then
				change.special_tiles = make_still(definition.special_tiles)
			end
			minetest.override_item(name, change)
		end
	end
	-- Nothing grows, burns, flows or flies; emptied in place, because the engine reads these very tables.
	for _, list in ipairs({ minetest.registered_abms, minetest.registered_lbms }) do
		for index = #list, 1, -1 do
			list[index] = nil
		end
	end
end)

local path = minetest.get_modpath("millivid")
dofile(path .. "/" .. (minetest.settings:get("millivid_mode") or "play") .. ".lua")
