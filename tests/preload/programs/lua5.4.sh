#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# lua: tables, strings, coroutines, both collector modes; every object is a realloc.
# needs: lua5.4

cat >case.lua <<'LUA'
for _, mode in ipairs { "incremental", "generational" } do
	collectgarbage(mode)
	local t = {}
	for i = 1, 200000 do t["k" .. i % 30011] = { i, tostring(i) .. ("x"):rep(i % 40) } end
	local n, s = 0, 0
	for _, v in pairs(t) do n = n + 1; s = s + #v[2] end
	print(n, s)
	local parts = {}
	for i = 1, 100000 do parts[i] = i * 7919 % 10007 end
	table.sort(parts)
	print(#table.concat(parts, ","), (table.concat(parts):gsub("12", "")):len())
	local sum = 0
	for i = 1, 5000 do
		local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1); return b * 2 end)
		sum = sum + co(i) + co(3)
	end
	print(sum, string.format("%q", ("a\0b"):rep(3)))
	t, parts = nil, nil
	collectgarbage()
	print(pcall(function() local function f() return f() + 1 end return f() end) == false)
end
LUA
lua5.4 case.lua
