#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# ruby: objects, the collector with compaction, threads, fork, regular expressions, big numbers.
# needs: ruby

cat >case.rb <<'RB'
require 'json'; require 'digest'; require 'zlib'; require 'stringio'
h = (0...60000).to_h { |i| ["k#{i}", { 'n' => i, 's' => 'x' * (i % 70), 'l' => [i] * 5 }] }
t = JSON.generate(h)
puts t.size, Digest::SHA256.hexdigest(t), JSON.parse(t) == h
h.delete_if { |_, v| v['n'].odd? }
GC.start; GC.compact if GC.respond_to?(:compact)
puts h.size, h.values.sum { |v| v['s'].size }
puts (1..8).map { |k| Thread.new { (1..20000).map { |i| (i * k).to_s }.join.hash.class; (1..20000).sum { |i| (i * k).to_s.size } } }.map(&:value).inspect
puts (1..4).map { |k| r, w = IO.pipe; fork { r.close; w.write((1..10000).map { |i| i * k }.sum); exit!(0) }; w.close; r.read }.inspect
Process.waitall
puts Digest::MD5.hexdigest((3**20000).to_s), t.scan(/"n":(\d+7),/).size
puts Zlib::Inflate.inflate(Zlib::Deflate.deflate(t)) == t
puts (0...2000).map { |i| Fiber.new { Fiber.yield i; i * 2 } }.map { |f| f.resume + f.resume }.sum
begin; def r(n) = r(n + 1); r(0); rescue SystemStackError => e; puts e.class; end
a = Array.new(300) { |i| 'b' * (i * 1000) }; a.each_with_index { |s, i| s << 'c' * i }
puts a.sum(&:size), ObjectSpace.each_object(Class).first.class
RB
ruby case.rb
