#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0-only
# chain.pl STEPS: hashes, strings, regular expressions and closures in a chain. Same output always.
use strict;
use warnings;

$| = 1;
my $steps = shift;
my ($x, $hits) = (12345, 0);
my @word = map { sprintf "%x", ($_ * 2654435761) % 4294967296 } 0 .. 4999;
my %seen;
my @ops = (
	sub { scalar reverse $_[0] },
	sub { $_[0] =~ tr/0-9a-f/a-f0-9/r },
	sub { substr($_[0] . sprintf("%x", $x), length($_[0]) % 3, 40) },
);
print "ready\n";
for my $n (1 .. $steps) {
	$x = ($x * 1103515245 + 12345) % 2147483648;
	my $i = $x % @word;
	$seen{$word[$i]}++;
	$word[$i] = $ops[$x % 3]->($word[$i] . chr(97 + $x % 6));
	$hits += $-[0] if $word[$i] =~ /[0-9a-f][a-f][0-9]/;
	printf "%d %d %d %s\n", $n, scalar(keys %seen), $hits, $word[$i] if $n * 20 % $steps < 20;
}
my $sum = 0;
$sum = ($sum * 31 + unpack("%32C*", $_)) % 1000000007 for @word;
print "end $hits $sum\n";
