# SPDX-License-Identifier: GPL-2.0-only
# bash completion for ckptctl

# References in the store that the command line names.
_ckptctl_refs() {
	local i store=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-o | --store) store=(-o "${COMP_WORDS[i + 1]}") ;;
		esac
	done
	ckptctl list "${store[@]}" 2>/dev/null | awk '{ print $1; sub(/@.*/, "", $1); print $1 }' | sort -u
}

_ckptctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
	local common="--store --json --verbose --quiet --help --version"
	local verbs="snap restore list show verify rm gc compact diff export import check keygen"

	COMPREPLY=()
	# A reference has an @ in it; it is one word.
	COMP_WORDBREAKS=${COMP_WORDBREAKS//@/}
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "$verbs --help --version" -- "$cur"))
		return
	fi
	case $prev in
	--core | --tar | --identity | --encrypt-to)
		COMPREPLY=($(compgen -f -- "$cur"))
		return ;;
	--barrier)
		COMPREPLY=($(compgen -W "after strict none" -- "$cur"))
		return ;;
	--files)
		COMPREPLY=($(compgen -W "auto reflink copy truncate none" -- "$cur"))
		return ;;
	--compress)
		COMPREPLY=($(compgen -W "auto none 1 3 6 19" -- "$cur"))
		return ;;
	--tcp)
		COMPREPLY=($(compgen -W "refuse close reset repair" -- "$cur"))
		return ;;
	--unix)
		COMPREPLY=($(compgen -W "refuse close" -- "$cur"))
		return ;;
	--dontdump)
		COMPREPLY=($(compgen -W "omit keep" -- "$cur"))
		return ;;
	-o | --store | --files-dir | --root)
		COMPREPLY=($(compgen -d -- "$cur"))
		return ;;
	-n | --name | --timeout | --hooks-timeout | --bwlimit | --files-limit | -k | --keep | --keep-for | --fd | --remap)
		return ;;
	esac
	case $verb:$cur in
	snap:-*) COMPREPLY=($(compgen -W "--kill --full --delta --untracked --name --timeout --compress --bwlimit --dedup --no-readback --barrier --files --files-limit --dontdump --hooks-timeout --no-hooks --self-contained --encrypt-to --tcp --unix --tree --cgroup $common" -- "$cur")) ;;
	snap:*) COMPREPLY=($(compgen -W "$(ps -eo pid= 2>/dev/null)" -- "$cur")) ;;
	restore:-*) COMPREPLY=($(compgen -W "--detach --discard-newer --files-dir --fd --pidns --remap --root --wait --identity $common" -- "$cur")) ;;
	rm:-*) COMPREPLY=($(compgen -W "--all $common" -- "$cur")) ;;
	verify:-*) COMPREPLY=($(compgen -W "--all --identity $common" -- "$cur")) ;;
	show:-* | diff:-*) COMPREPLY=($(compgen -W "--identity $common" -- "$cur")) ;;
	gc:-*) COMPREPLY=($(compgen -W "--keep --keep-for --no-compact --identity $common" -- "$cur")) ;;
	compact:-*) COMPREPLY=($(compgen -W "--compress --identity $common" -- "$cur")) ;;
	export:-*) COMPREPLY=($(compgen -W "--core --tar --all --identity $common" -- "$cur")) ;;
	import:-*) COMPREPLY=($(compgen -W "--name $common" -- "$cur")) ;;
	*:-*) COMPREPLY=($(compgen -W "$common" -- "$cur")) ;;
	import:*) COMPREPLY=($(compgen -f -- "$cur")) ;;
	keygen:*) COMPREPLY=($(compgen -f -- "$cur")) ;;
	restore:*/* | show:*/* | verify:*/* | diff:*/* | export:*/*) COMPREPLY=($(compgen -f -- "$cur")) ;;
	restore:* | show:* | verify:* | rm:* | list:* | gc:* | compact:* | diff:* | export:*)
		COMPREPLY=($(compgen -W "$(_ckptctl_refs)" -- "$cur")) ;;
	esac
}
complete -F _ckptctl ckptctl
