# Completion of upstartd's commands for bash: their commands, options, jobs, instances and events.
#
# All that is offered is what the commands themselves say (initctl help, --help, initctl list, ...), so there is nothing
# here that could get out of date. A daemon that is not there, or does not answer this user, offers nothing.
# Install as initctl in /usr/share/bash-completion/completions, with links named after the other programs below.

# Ask initctl, for the daemon that the line is about.
_upstart_ask() {
    initctl "${_upstart_daemon[@]}" "$@" 2>/dev/null
}

# The options that a help lists: long ones, with a = where there is a value, and short ones.
_upstart_options() {
    "$@" --help 2>&1 | sed -nE 's/^  (-[^-])?,? *(--[a-z-]+=?)?.*/\1 \2/p' | tr ' ' '\n' | grep '^-'
}

_upstart_jobs() {
    _upstart_ask list | sed -nE 's/^([^[:space:]]+)( \(.*\))? (start|stop|respawn)\/.*/\1/p' | sort -u
}

# The variables by which the instances of a job are named: those of an instance whose values are in its name.
_upstart_instances() {
    local job=$1 line name key value
    _upstart_ask list | while read -r line; do
        [[ $line == "$job ("* && ${line#"$job "} =~ ^\((.*)\)\ (start|stop|respawn)/ ]] || continue
        name=${BASH_REMATCH[1]}
        UPSTART_JOB=$job UPSTART_INSTANCE=$name _upstart_ask list-env | while IFS='=' read -r key value; do
            [[ $key != UPSTART_* && -n $value && $name == *"$value"* ]] && printf '%s=%s\n' "$key" "$value"
        done
    done | sort -u
}

# The variables that a job's usage names, to be given a value.
_upstart_parameters() {
    _upstart_ask usage "$1" | grep -oE '\b[A-Z_][A-Z0-9_]*=' | sort -u
}

_upstart_events() {
    _upstart_ask show-config --enumerate | sed -nE 's/^  (start on|stop on|emits) ([^[:space:]*?]+)( .*)?$/\2/p' | sort -u
}

# What may come after a command of initctl, by what its help calls it.
_upstart_arguments() {
    local usage
    usage=$(initctl "$1" --help 2>/dev/null | sed -n '1s/.*\[OPTION\]\.\.\. *//p')
    case $usage in
        JOB\ *) if ((_upstart_before == 0)); then _upstart_jobs
                elif [[ $1 == start ]]; then _upstart_parameters "$_upstart_first"
                else _upstart_instances "$_upstart_first"; fi ;;
        *JOB*) if ((_upstart_before == 0)); then _upstart_jobs; fi ;;
        EVENT*) if ((_upstart_before == 0)); then _upstart_events; fi ;;
        VARIABLE*) _upstart_ask list-env | sed 's/=.*//' ;;
        *PRIORITY*) if ((_upstart_before == 0)); then printf '%s\n' debug info message warn error fatal; fi ;;
    esac
}

_upstart() {
    local program=${1##*/} current command='' word words reply
    local _upstart_daemon=() _upstart_before=0 _upstart_first=''
    # Not COMP_WORDS, which is split at every = as well.
    read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
    if [[ ${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]]; then current=''; else current=${words[-1]}; unset 'words[-1]'; fi
    [[ $program == initctl || $program == service || $program == upstartd ]] || command=$program
    for word in "${words[@]:1}"; do
        case $word in
            --user | --session | --system | --dest=*) _upstart_daemon+=("$word") ;;
            -*) ;;
            *) if [[ -z $command ]]; then command=$word
               else ((_upstart_before++)) || _upstart_first=$word; fi ;;
        esac
    done
    case $program in
        initctl) if [[ $current == -* ]]; then reply=$(_upstart_options initctl $command)
                 elif [[ -z $command ]]; then reply=$(initctl help | sed -nE 's/^  ([a-z-]+) .*/\1/p')
                 else reply=$(_upstart_arguments "$command"); fi ;;
        service) if [[ $current == -* ]]; then reply=$(_upstart_options service)
                 elif [[ -z $command ]]; then reply=$(_upstart_jobs; cd /etc/init.d 2>/dev/null && printf '%s\n' *)
                 elif ((_upstart_before == 0)); then
                     reply=$(service --help 2>&1 | sed -nE 's/.*ACTION is one of (.*)\./\1/p' | tr -d ,)
                 else reply=$(_upstart_instances "$command"); fi ;;
        start | stop | restart | reload | status)
                 if [[ $current == -* ]]; then reply=$(_upstart_options "$program")
                 else reply=$(_upstart_arguments "$program"); fi ;;
        upstart-job) if [[ $current == -* ]]; then reply=$(_upstart_options "$program")
                 elif ((_upstart_before == 0)); then reply=$(_upstart_jobs)
                 elif ((_upstart_before == 1)); then reply='start stop restart reload force-reload status'; fi ;;
        *) [[ $current == -* ]] && reply=$(_upstart_options "$program") ;;
    esac
    if [[ -z ${reply-} ]]; then
        # Options with a file, and programs about files.
        [[ $program == init-checkconf || $program == initctl2dot || $program == upstartd ]] && compopt -o default
        COMPREPLY=()
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$reply" -- "$current")
    if [[ $current == *=* && $COMP_WORDBREAKS == *=* ]]; then
        # Up to the =, it is on the line already.
        COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*=}"}"}")
    fi
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}

complete -F _upstart initctl start stop restart reload status service upstart-job init-checkconf initctl2dot \
    upstart-monitor upstartd
