# SPDX-License-Identifier: GPL-2.0-or-later
#
# What bash can complete behind "vusctl": commands, names of ports, tenants and
# domains, keys.  All but the commands is asked of the daemon; without one there
# is nothing to complete, and nothing is said.

# The daemon that the line names answers within two seconds, or not at all.
_vusctl_ask() {
    timeout 2 "${COMP_WORDS[0]}" "${control[@]}" "$@" 2>/dev/null
}

_vusctl_commands() {
    _vusctl_ask --help |
        awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' |
        uniq
}

_vusctl_ports() {
    _vusctl_ask list | awk 'NR > 1 { print $1 }'
}

_vusctl_tenants() {
    _vusctl_ask tenant list | awk 'NR > 1 && /^[^ ]/ { print $1 }'
}

_vusctl_domains() {
    _vusctl_ask domain list | awk 'NR > 1 { print $1 }'
}

# Of PORT, TENANT or DOMAIN.
_vusctl_keys() {
    _vusctl_ask settings | awk -v of="$1" '
        /^[A-Z]/ { section = $1 }
        /^[a-z]/ && section == of { sub(/[*]$/, "", $1); print $1 "=" }'
}

_vusctl_methods() {
    _vusctl_ask call methods | grep -o '"name":"[^"]*","help"' | cut -d '"' -f 4
}

# Sets words (the command and what follows it) and control, up to the cursor.
_vusctl_split() {
    local i option

    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} =~ ^--(control|interval)$ ]]; then
            option=${COMP_WORDS[i++]}
            # "=" is a word of its own.
            [[ ${COMP_WORDS[i]} == = ]] && ((i++))
            if [[ $option == --control ]]; then
                control=(--control "${COMP_WORDS[i]}")
            fi
        elif [[ ${COMP_WORDS[i]} != -* ]]; then
            words+=("${COMP_WORDS[i]}")
        fi
    done
}

# What KEY= before the cursor can be.
_vusctl_values() {
    case $1 in
    peer | mirror | outs) _vusctl_ports ;;
    tenant) _vusctl_tenants ;;
    domain) _vusctl_domains ;;
    esac
}

_vusctl_what() {
    local n=${#words[@]}

    case ${words[0]}:${words[1]} in
    add:*) ((n > 1)) && _vusctl_keys PORT ;;
    set:*) if ((n > 1)); then _vusctl_keys PORT; else _vusctl_ports; fi ;;
    fdb:list | fdb:flush) ((n == 2)) && _vusctl_ports ;;
    fdb:set) ((n == 3)) && _vusctl_ports ;;
    fdb:) echo list flush set unset ;;
    tenant:set)
        if ((n > 2)); then _vusctl_keys TENANT; else _vusctl_tenants; fi ;;
    tenant:remove) ((n == 2)) && _vusctl_tenants ;;
    tenant:) echo list set remove ;;
    domain:set)
        if ((n > 2)); then _vusctl_keys DOMAIN; else _vusctl_domains; fi ;;
    domain:show | domain:remove) ((n == 2)) && _vusctl_domains ;;
    domain:) echo list show set remove ;;
    remove: | show: | stats: | inject: | read: | deadlines:) _vusctl_ports ;;
    call:) _vusctl_methods ;;
    :) _vusctl_commands ;;
    esac
}

_vusctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} words=() control=() equals=$COMP_CWORD
    local all

    COMPREPLY=()
    _vusctl_split
    if [[ $cur == = ]]; then cur=; else ((equals--)); fi
    if ((equals > 0)) && [[ ${COMP_WORDS[equals]} == = ]]; then
        all=$(_vusctl_values "${COMP_WORDS[equals - 1]}")
    elif [[ $cur == -* ]]; then
        all="--control --json --all --reset --interval --once --help"
    elif ((${#words[@]} == 1)) &&
        [[ ${words[0]} =~ ^(save|reload|doctor)$ ]]; then
        compopt -o default 2>/dev/null
        return
    else
        all=$(_vusctl_what)
    fi
    mapfile -t COMPREPLY < <(compgen -W "$all" -- "$cur")
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _vusctl vusctl
