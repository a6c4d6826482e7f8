-- Finds land near the middle of the world, generates the map around it, writes down what is solid, ends the game.

local FORBIDDEN, NOT_GROUND = 255, 32 -- as in walker.py
local SPACING = 32 -- of the points that are looked at to judge a place
local RINGS = 10 -- of places, 80 blocks apart, that are looked at around the origin

local area = tonumber(minetest.settings:get("millivid_area")) -- blocks from the middle that the player may walk
local reach = tonumber(minetest.settings:get("millivid_reach")) -- blocks from the middle that the player may see
local low = tonumber(minetest.settings:get("millivid_low"))
local high = tonumber(minetest.settings:get("millivid_high"))
local folder = minetest.get_worldpath()

-- Biomes with trees: places to remember. What is left are grasslands, deserts, ice and tundra.
local WOODED = {
	taiga = true, coniferous_forest = true, deciduous_forest = true, savanna = true, rainforest = true,
}

-- The shares of a place's points that are low, dry land, and that are so and wooded: 0 to 1.
local function judge(x, z)
	local land, wooded, all = 0, 0, 0
	for dx = -area, area, SPACING do
		for dz = -area, area, SPACING do
			all = all + 1
			local y = minetest.get_spawn_level(x + dx, z + dz)
			if y then
				land = land + 1
				local biome = minetest.get_biome_data(vector.new(x + dx, y, z + dz))
				if biome and WOODED[minetest.get_biome_name(biome.biome)] then
					wooded = wooded + 1
				end
			end
		end
	end
	return land / all, wooded / all
end

-- The first place that is mostly wooded land, in growing squares around the origin; else the best one of them.
local function find_middle()
	local best, best_x, best_z = -1, 0, 0
	for ring = 0, RINGS do
		for i = -ring, ring do
			for j = -ring, ring do
				if math.max(math.abs(i), math.abs(j)) == ring then
					local x, z = i * 80, j * 80
					local land, wooded = judge(x, z)
					if land > 0.7 and wooded > 0.5 then
						return x, z
					end
					if land + wooded > best then
						best, best_x, best_z = land + wooded, x, z
					end
				end
			end
		end
	end
	return best_x, best_z
end

-- What one node is to a walker: 0 lets it pass, 1 to 16 is the height of its upper side in sixteenths.
local function classify(name)
	local definition = minetest.registered_nodes[name]
	if not definition or name == "ignore" then
		return FORBIDDEN
	end
	if definition.liquidtype ~= "none" or (definition.damage_per_second or 0) > 0 then
		return FORBIDDEN
	end
	if not definition.walkable then
		return 0
	end
	local box = definition.collision_box or definition.node_box
	local top = 0.5
	if box and box.type == "fixed" and box.fixed then
		local boxes = type(box.fixed[1]) == "table" and box.fixed or { box.fixed }
		top = -0.5
		for _, one in ipairs(boxes) do
			top = math.max(top, one[5])
		end
	end
	local height = math.max(1, math.min(16, math.ceil((top + 0.5) * 16)))
	local groups = definition.groups or {}
	local plant = groups.tree or groups.leaves or groups.leafdecay
	return height + (plant and NOT_GROUND or 0)
end

-- One byte per node of the walker's area, in the order z, y, x (x fastest).
local function write_solids(x, z)
	local kinds = {}
	local file = assert(io.open(folder .. "/solids", "wb"))
	for node_z = z - area, z + area do
		local first = vector.new(x - area, low, node_z)
		local last = vector.new(x + area, high, node_z)
		local voxels = minetest.get_voxel_manip()
		local from, to = voxels:read_from_map(first, last)
		local ids = voxels:get_data()
		local index_of = VoxelArea:new({ MinEdge = from, MaxEdge = to })
		local bytes = {}
		for node_y = low, high do
			local index = index_of:index(first.x, node_y, node_z)
			for i = index, index + 2 * area do
				local id = ids[i]
				kinds[id] = kinds[id] or string.char(classify(minetest.get_name_from_content_id(id)))
				bytes[#bytes + 1] = kinds[id]
			end
		end
		file:write(table.concat(bytes))
	end
	file:close()
end

minetest.after(0, function()
	local x, z = find_middle()
	local first = vector.new(x - reach, low, z - reach)
	local last = vector.new(x + reach, high, z + reach)
	minetest.emerge_area(first, last, function(_, _, remaining)
		if remaining > 0 then
			return
		end
		write_solids(x, z)
		local file = assert(io.open(folder .. "/middle", "w"))
		file:write(("%d %d\n"):format(x, z))
		file:close()
		minetest.request_shutdown()
	end)
end)
