# SPDX-License-Identifier: GPL-2.0-only
# gawk -v steps=N -f chain.awk: associative arrays, strings and numbers in a chain. Same output always.
BEGIN {
	x = 12345
	for (i = 0; i < 5000; i++)
		word[i] = sprintf("%x", (i * 2654435761) % 4294967296)
	print "ready"; fflush()
	for (n = 1; n <= steps; n++) {
		x = (x * 1103515245 + 12345) % 2147483648
		i = x % 5000
		seen[word[i]]++
		word[i] = substr(word[i] sprintf("%x", x), 1 + length(word[i]) % 3, 40)
		if (match(word[i], /[0-9a-f][a-f][0-9]/))
			hits += RSTART
		if (n * 20 % steps < 20) {
			printf "%d %d %d %s\n", n, length(seen), hits, word[i]; fflush()
		}
	}
	for (i = 0; i < 5000; i++)
		for (j = 1; j <= length(word[i]); j += 7)
			sum = (sum * 31 + index("0123456789abcdef", substr(word[i], j, 1))) % 1000000007
	printf "end %d %d\n", hits, sum
}
