#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tcl: lists, dicts, regular expressions, events; its own allocator caches on top of malloc.
# needs: tclsh

cat >case.tcl <<'TCL'
set l {}
for {set i 0} {$i < 50000} {incr i} { lappend l [expr {$i * 7919 % 10007}] }
puts [llength [lsort -integer -unique $l]]
set d [dict create]
foreach x $l { dict lappend d [expr {$x % 101}] $x }
puts "[dict size $d] [llength [dict get $d 7]] [string length $d]"
puts [regexp -all {(\d)\1} [join $l ,]]
puts [expr {7 ** 500}]
proc fib n { expr {$n < 2 ? $n : [fib [expr {$n - 1}]] + [fib [expr {$n - 2}]]} }
puts [fib 18]
set s {}
for {set i 0} {$i < 20000} {incr i} { append s [string repeat ab [expr {$i % 20}]] }
puts "[string length $s] [string length [string map {ba xyz} $s]]"
foreach i {3 1 2} { after [expr {$i * 10}] [list lappend done $i] }
after 100 {set end 1}
vwait end
puts $done
interp create kid; puts [kid eval {set a [lrepeat 1000 x]; llength $a}]; interp delete kid
set p [open "|sort -n" r+]; foreach i {3 1 2} {puts $p $i}; close $p write; puts [read $p]; close $p
TCL
tclsh case.tcl
