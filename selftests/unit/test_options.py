#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""test_options.py [CKPTCTL]: what a verb takes is what its manual page and the completion of the shell say."""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CKPTCTL = (sys.argv[1:] or [f"{TOP}/build/ckptctl"])[0]
COMMON = {"--store", "--json", "--verbose", "--quiet", "--help", "--version"}


def help_of(*verb):
	return subprocess.run([CKPTCTL, *verb, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout


def verbs():
	return re.findall(r"^  ([a-z]+) +[A-Z]", help_of(), re.M)


def options(verb):
	return set(re.findall(r"^ +(?:-., )?(--[a-z-]+)", help_of(verb), re.M))


def completed(*words):
	"""What the shell offers behind these words."""
	script = (f'. {TOP}/completions/ckptctl.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ckptctl;'
		  ' printf "%s\\n" "${COMPREPLY[@]}"')
	done = subprocess.run(["bash", "-c", script, "bash", "ckptctl", *words], check=True,
			      stdout=subprocess.PIPE, text=True)
	return set(done.stdout.split())


def manual(verb):
	"""The part of the page about a verb, and its synopsis."""
	with open(f"{TOP}/docs/man/ckptctl.8", encoding="utf-8") as f:
		text = f.read().replace("\\-", "-").replace("\\fB", "").replace("\\fR", "").replace("\\fI", "")
	part = re.search(rf'^\.SS "?{verb}\b.*?(?=^\.S[SH])', text, re.M | re.S)
	return part.group() if part else "", "\n".join(
		line for line in text.splitlines() if re.match(rf'\.BR? "?ckptctl {verb}\b', line))


def main():
	count = failed = 0
	print("TAP version 13")
	for verb in verbs():
		own = options(verb) - COMMON
		about, synopsis = manual(verb)
		wrong = [f"{o}: not offered" for o in sorted(own - completed(verb, "--"))]
		wrong += [f"{o}: offered, and not there" for o in sorted(completed(verb, "--") - own - COMMON)]
		wrong += [f"{o}: not in the manual page" for o in sorted(own) if o not in about and o != "--identity"]
		wrong += [f"{o}: not in its synopsis" for o in sorted(own - {"--tree", "--name"})
			  if o not in synopsis]
		if not synopsis:
			wrong.append("has no synopsis")
		count += 1
		failed += bool(wrong)
		for line in wrong:
			print(f"# {line}")
		print(f"{'not ' if wrong else ''}ok {count} options_of_{verb}_are_told_everywhere")
	words = [("--barrier", "strict"), ("--files", "reflink"), ("--compress", "auto"), ("--dontdump", "keep")]
	bad = [o for o, value in words if value not in completed("snap", o, "")]
	count += 1
	failed += bool(bad)
	print(f"{'not ' if bad else ''}ok {count} words_of_options_are_offered {bad or ''}")
	print(f"1..{count}")
	return 1 if failed else 0


sys.exit(main())
