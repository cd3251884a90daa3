# Completion of upstartd's commands for fish: their commands, options, jobs, instances and events.
#
# All that is offered is what the commands themselves say (initctl help, --help, initctl list, ...), so there is nothing
# here that could get out of date. A daemon that is not there, or does not answer this user, offers nothing.
# Install as upstart.fish in /usr/share/fish/vendor_conf.d: the commands are many, and the file is one.

# The words of the line that are no options, without the program that it begins with where that is not a command.
function __upstart_words
    set -l words (commandline -opc)
    set -l program (string replace -r '.*/' '' -- $words[1])
    string match -qr '^(initctl|service)$' -- $program; and set -e words[1]; or set words[1] $program
    string match -v -- '-*' $words
end

# Ask initctl, for the daemon that the line is about.
function __upstart_ask
    initctl (string match -r -- '^--(?:user|session|system|dest=.*)$' (commandline -opc)) $argv 2>/dev/null
end

function __upstart_jobs
    __upstart_ask list | string replace -rf '^(\S+)( \(.*\))? (start|stop|respawn)/.*' '$1' | sort -u
end

# The variables by which the instances of a job are named: those of an instance whose values are in its name.
function __upstart_instances -a job
    for name in (__upstart_ask list | string replace -rf -- '^'(string escape --style=regex -- $job)' \((.*)\) (start|stop|respawn)/.*' '$1')
        for entry in (env UPSTART_JOB=$job UPSTART_INSTANCE=$name initctl list-env 2>/dev/null)
            set -l value (string replace -r '^[^=]*=' '' -- $entry)
            string match -q -- 'UPSTART_*' $entry; and continue
            test -n "$value"; and string match -q -- "*$value*" $name; and echo $entry
        end
    end
end

function __upstart_commands
    initctl help | string replace -rf '^  ([a-z-]+) +(.*)' '$1\t$2'
end

# Options with what the help says of them.
function __upstart_options
    set -l words (__upstart_words)
    set -l program (basename -- (commandline -opc)[1])
    string match -q -- initctl $program; and set program initctl $words[1]
    set -l help ($program --help 2>&1)
    string replace -rf '^  (?:-.,)? *(--[a-z-]+=?)\S* +(.*)' '$1\t$2' -- $help
    string replace -rf '^  (-.)(?:,? +(?:--|[A-Z]+ )?\S*) +(.*)' '$1\t$2' -- $help
end

function __upstart_arguments
    set -l words (__upstart_words)
    set -l program (basename -- (commandline -opc)[1])
    if test $program = service
        switch (count $words)
            case 0
                __upstart_jobs
                ls /etc/init.d 2>/dev/null
            case 1
                service --help 2>&1 | string replace -rf '.*ACTION is one of (.*)\.' '$1' | string split ', '
            case '*'
                __upstart_instances $words[1]
        end
        return
    else if test $program = upstart-job
        switch (count $words)
            case 1
                __upstart_jobs
            case 2
                printf '%s\n' start stop restart reload force-reload status
        end
        return
    else if test (count $words) -eq 0
        __upstart_commands
        return
    end
    switch (initctl $words[1] --help 2>/dev/null | string replace -rf '.*\[OPTION\]\.\.\. *' '')[1]
        case 'JOB *'
            if test (count $words) -eq 1
                __upstart_jobs
            else if test $words[1] = start
                __upstart_ask usage $words[2] | string match -ra '\b[A-Z_][A-Z0-9_]*='
            else
                __upstart_instances $words[2]
            end
        case '*JOB*'
            test (count $words) -eq 1; and __upstart_jobs
        case 'EVENT*'
            test (count $words) -eq 1
            and __upstart_ask show-config --enumerate | string replace -rf '^  (?:start on|stop on|emits) ([^\s*?]+)( .*)?$' '$1'
        case 'VARIABLE*'
            __upstart_ask list-env | string replace -r '=.*' ''
        case '*PRIORITY*'
            printf '%s\n' debug info message warn error fatal
    end
end

for __upstart_program in initctl start stop restart reload status service upstart-job
    complete -c $__upstart_program -f -a '(__upstart_arguments)'
end
for __upstart_program in initctl start stop restart reload status service upstart-job init-checkconf initctl2dot upstart-monitor upstartd
    complete -c $__upstart_program -n 'string match -q -- "-*" (commandline -ct)' -a '(__upstart_options)'
end
set -e __upstart_program
