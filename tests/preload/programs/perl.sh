#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# perl: hashes, sorting, regular expressions, fork with pipes, interpreter threads.
# needs: perl

words 50000 >text
cat >case.pl <<'PL'
use strict; use warnings; use threads; use Digest::SHA qw(sha256_hex); use Storable qw(dclone);
open(my $in, "<", "text") or die; my @lines = <$in>; close $in;
my %h; for (@lines) { my @f = split; push @{$h{$f[1]}{$f[2]}}, $f[3]; }
print join(",", map { my $k = $_; "$k:" . scalar(map { @$_ } values %{$h{$k}}) } sort keys %h), "\n";
my $copy = dclone(\%h); undef %h;
print sha256_hex(join " ", map { my $k = $_; map { @{$copy->{$k}{$_}} } sort keys %{$copy->{$k}} } sort keys %$copy), "\n";
my $text = join "", @lines; my $n = () = $text =~ /\b(\w)\w*\1\b/g; print "$n\n";
$text =~ s/(\d+)/sprintf "%x", $1/ge; print length $text, " ", sha256_hex($text), "\n";
for my $i (1 .. 8) {
	my $pid = open(my $from, "-|") // die;
	if (!$pid) { my %x = map { $_ => "v" x ($_ % 100) } 1 .. 5000 * $i; print scalar(keys %x), "\n"; exit 0 }
	print <$from>; close $from;
}
my @t = map { my $k = $_; threads->create(sub { my %x; $x{$_ * $k} = "t" x ($_ % 50) for 1 .. 20000; my $l = 0; $l += length for values %x; $l }) } 1 .. 4;
print join(" ", map { $_->join } @t), "\n";
PL
perl case.pl
