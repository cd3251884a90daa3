'''Upstart mock template

This creates the main object of com.ubuntu.Upstart, with its methods and properties, but no jobs. Add them with
AddJob(), let their instances come with the daemon's own Start and Stop or with AddInstance(), and have them change with
SetState(). FailMethod() and DelayMethod() make an odd daemon of it.

You can set the properties 'version' and 'log_priority' in "parameters", the job environment as 'env' (an array of
KEY=VALUE), and in 'without' what an older daemon does not have yet: an array of methods, each as Manager.METHOD,
Job.METHOD or Instance.METHOD.

No process is ever run and no condition is looked at: EmitEvent only tells that the event is finished.
'''

# SPDX-License-Identifier: MIT

__author__ = 'the authors of upstartd'
__copyright__ = '''
(c) 2026 the authors of upstartd
'''

import re
import time

import dbus
from dbusmock import MOCK_IFACE, get_object, get_objects

BUS_NAME = 'com.ubuntu.Upstart'
MAIN_OBJ = '/com/ubuntu/Upstart'
MAIN_IFACE = 'com.ubuntu.Upstart0_6'
SYSTEM_BUS = True

JOB_IFACE = MAIN_IFACE + '.Job'
INSTANCE_IFACE = MAIN_IFACE + '.Instance'
ERROR = MAIN_IFACE + '.Error.'
INVALID_ARGS = 'org.freedesktop.DBus.Error.InvalidArgs'
IFACES = {'Manager': MAIN_IFACE, 'Job': JOB_IFACE, 'Instance': INSTANCE_IFACE}

FIRST_PID = 1000


def escape(name):
    '''A name as an element of an object path'''

    if not name:
        return '_'
    return ''.join(chr(c) if chr(c).isalnum() and c < 128 else f'_{c:02x}' for c in name.encode('UTF-8'))


def error(name, message):
    '''What a method raises so that it is answered with this error'''

    return dbus.exceptions.DBusException(message, name=name if '.' in name else ERROR + name)


def job_path(name):
    return f'{MAIN_OBJ}/jobs/{escape(name)}'


def job_paths():
    return sorted(path for path in get_objects() if re.fullmatch(f'{MAIN_OBJ}/jobs/[^/]+', path))


def instance_paths(job):
    return sorted(path for path in get_objects() if path.startswith(job.path + '/'))


def get_job(name):
    if not name:
        raise error(INVALID_ARGS, 'Name may not be empty string')
    if job_path(name) not in get_objects():
        raise error('UnknownJob', f'Unknown job: {name}')
    return get_object(job_path(name))


def get_instance(job, name):
    path = f'{job.path}/{escape(name)}'
    if path not in get_objects():
        raise error('UnknownInstance', f'Unknown instance: {name}')
    return get_object(path)


def method(iface, name, answer):
    '''A method that gives what answer(object, *arguments) does, unless a test has another wish'''

    key = next(short for short, long in IFACES.items() if long == iface) + '.' + name

    def call(self, *args):
        main = get_object(MAIN_OBJ)
        if key in main.delays:
            time.sleep(main.delays[key])
        if key in main.failures:
            raise error(*main.failures[key])
        return answer(self, *args)

    return call


def add_methods(obj, iface, methods):
    '''Add those of these methods that the daemon is said to have: (name, in_sig, out_sig, answer)'''

    without = get_object(MAIN_OBJ).without if MAIN_OBJ in get_objects() else obj.without
    short = next(short for short, long in IFACES.items() if long == iface)
    obj.AddMethods(iface, [(name, takes, gives, method(iface, name, answer)) for name, takes, gives, answer in methods
                           if f'{short}.{name}' not in without])


def check_env(env):
    if not all('=' in entry for entry in env):
        raise error(INVALID_ARGS, 'Env must be KEY=VALUE pairs')


def instance_name(job, env):
    '''The name of the instance that these variables name'''

    check_env(env)
    values = dict(entry.split('=', 1) for entry in env)

    def value(match):
        if match[1] not in values:
            raise error(INVALID_ARGS, f'Unknown parameter: {match[1]}')
        return values[match[1]]

    return re.sub(r'\$(\w+)', value, job.instance_template)


def set_state(instance, goal, state):
    '''Change what differs, and tell of it as the daemon does'''

    props = instance.props[INSTANCE_IFACE]
    for name, signal, value in (('goal', 'GoalChanged', goal), ('state', 'StateChanged', state)):
        if props[name] != value:
            props[name] = dbus.String(value)
            instance.EmitSignal(INSTANCE_IFACE, signal, 's', [value])


# The daemon's own methods

def get_env(main, details, name):
    for entry in main.env:
        if entry.split('=', 1)[0] == name:
            return entry.split('=', 1)[1]
    raise error(INVALID_ARGS, f'No such variable: {name}')


def unset_env(main, details, names):
    main.env = [entry for entry in main.env if entry.split('=', 1)[0] not in names]


def set_env(main, details, entries, replace):
    for entry in entries:
        name = entry.split('=', 1)[0]
        if replace or not any(known.startswith(name + '=') for known in main.env):
            unset_env(main, details, [name])
            main.env.append(entry if '=' in entry else entry + '=')


def reset_env(main, details):
    main.env = list(main.first_env)


def emit_event(main, name, env, wait):
    if not name:
        raise error(INVALID_ARGS, 'Name may not be empty string')
    check_env(env)
    main.EmitSignal(MAIN_IFACE, 'EventEmitted', 'sas', [name, dbus.Array(env, signature='s')])


def start(job, env, wait):
    name = instance_name(job, env)
    if job.fails:
        raise error('JobFailed', 'Job failed to start')
    main = get_object(MAIN_OBJ)
    path = f'{job.path}/{escape(name)}'
    if path not in get_objects():
        path = main.AddInstance(job.name, name, 'stop', 'waiting', dbus.Array([], signature='(si)'))
    instance = get_object(path)
    start_instance(instance, wait)
    return dbus.ObjectPath(path)


def stop(job, env, wait):
    stop_instance(get_instance(job, instance_name(job, env)), wait)


def restart(job, env, wait):
    instance = get_instance(job, instance_name(job, env))
    restart_instance(instance, wait)
    return dbus.ObjectPath(instance.path)


def full_name(instance):
    name = instance.props[INSTANCE_IFACE]['name']
    return f'{instance.job.name} ({name})' if name else instance.job.name


def start_instance(instance, wait):
    if instance.props[INSTANCE_IFACE]['goal'] == 'start':
        raise error('AlreadyStarted', f'Job is already running: {full_name(instance)}')
    main = get_object(MAIN_OBJ)
    main.last_pid += 1
    instance.props[INSTANCE_IFACE]['processes'] = dbus.Array([('main', main.last_pid)], signature='(si)')
    set_state(instance, 'start', 'running')


def stop_instance(instance, wait):
    if instance.props[INSTANCE_IFACE]['goal'] == 'stop':
        raise error('AlreadyStopped', f'Job has already been stopped: {full_name(instance)}')
    get_object(MAIN_OBJ).RemoveInstance(instance.job.name, instance.props[INSTANCE_IFACE]['name'])


def restart_instance(instance, wait):
    set_state(instance, 'stop', 'stopping')
    start_instance(instance, wait)


def reload_instance(instance):
    if not any(process == 'main' for process, _ in instance.props[INSTANCE_IFACE]['processes']):
        raise error('NotRunning', f'Job is not running: {full_name(instance)}')


MANAGER_METHODS = [
    ('GetJobByName', 's', 'o', lambda main, name: dbus.ObjectPath(get_job(name).path)),
    ('GetAllJobs', '', 'ao', lambda main: dbus.Array(job_paths() + main.ghosts, signature='o')),
    ('EmitEvent', 'sasb', '', emit_event),
    ('EmitEventWithFile', 'sasbh', '', lambda main, name, env, wait, file: emit_event(main, name, env, wait)),
    ('ReloadConfiguration', '', '', lambda main: None),
    ('GetEnv', 'ass', 's', get_env),
    ('SetEnv', 'assb', '', lambda main, details, entry, replace: set_env(main, details, [entry], replace)),
    ('SetEnvList', 'asasb', '', set_env),
    ('UnsetEnv', 'ass', '', lambda main, details, name: unset_env(main, details, [name])),
    ('UnsetEnvList', 'asas', '', unset_env),
    ('ListEnv', 'as', 'as', lambda main, details: dbus.Array(main.env, signature='s')),
    ('ResetEnv', 'as', '', reset_env),
    ('GetState', '', 's', lambda main: '{}'),
    ('Restart', '', '', lambda main: main.EmitSignal(MAIN_IFACE, 'Restarted', '', [])),
    ('NotifyDiskWriteable', '', '', lambda main: None),
    ('NotifyDBusAddress', 's', '', lambda main, address: None),
    ('NotifyCGroupManagerAddress', 's', '', lambda main, address: None),
    ('EndSession', '', '', lambda main: None),
]
JOB_METHODS = [
    ('GetInstance', 'as', 'o', lambda job, env: dbus.ObjectPath(get_instance(job, instance_name(job, env)).path)),
    ('GetInstanceByName', 's', 'o', lambda job, name: dbus.ObjectPath(get_instance(job, name).path)),
    ('GetAllInstances', '', 'ao', lambda job: dbus.Array(instance_paths(job), signature='o')),
    ('Start', 'asb', 'o', start),
    ('Stop', 'asb', '', stop),
    ('Restart', 'asb', 'o', restart),
]
INSTANCE_METHODS = [
    ('Start', 'b', '', start_instance),
    ('Stop', 'b', '', stop_instance),
    ('Restart', 'b', '', restart_instance),
    ('Reload', '', '', reload_instance),
]


def load(mock, parameters):
    mock.delays = {}
    mock.failures = {}
    mock.ghosts = []
    mock.last_pid = FIRST_PID - 1
    mock.first_env = [str(entry) for entry in parameters.get('env', ['PATH=/usr/bin:/bin', 'TERM=linux'])]
    mock.env = list(mock.first_env)
    mock.without = [str(name) for name in parameters.get('without', [])]
    mock.AddProperties(MAIN_IFACE, dbus.Dictionary({
        'version': parameters.get('version', 'init (upstart 1.13.2)'),
        'log_priority': parameters.get('log_priority', 'message'),
    }, signature='sv'))
    add_methods(mock, MAIN_IFACE, MANAGER_METHODS)


@dbus.service.method(MOCK_IFACE, in_signature='sa{sv}', out_signature='s')
def AddJob(self, name, parameters):
    '''Convenience method to add a job

    Its parameters are its properties: description, author, version, usage (strings), start_on, stop_on (arrays of
    arrays of strings, in postfix order) and emits (an array of strings); and also

    instance: what its instances are named by, such as "$TTY". Without it, there is one, without a name.
    fails: True lets every Start fail.

    Emits JobAdded, and returns the new object path.
    '''
    path = job_path(name)
    conditions = dbus.Array([], signature='as')
    props = {text: dbus.String(parameters.get(text, '')) for text in ('description', 'author', 'version', 'usage')}
    self.AddObject(path, JOB_IFACE, {
        'name': dbus.String(name),
        **props,
        'start_on': dbus.Array(parameters.get('start_on', conditions), signature='as'),
        'stop_on': dbus.Array(parameters.get('stop_on', conditions), signature='as'),
        'emits': dbus.Array(parameters.get('emits', []), signature='s'),
    }, [])
    job = get_object(path)
    job.name = str(name)
    job.instance_template = str(parameters.get('instance', ''))
    job.fails = bool(parameters.get('fails', False))
    add_methods(job, JOB_IFACE, JOB_METHODS)
    self.EmitSignal(MAIN_IFACE, 'JobAdded', 'o', [path])
    return path


@dbus.service.method(MOCK_IFACE, in_signature='s', out_signature='')
def RemoveJob(self, name):
    '''Convenience method to remove a job and its instances

    Emits JobRemoved.
    '''
    job = get_job(name)
    for path in [*instance_paths(job), job.path]:
        self.RemoveObject(path)
    self.EmitSignal(MAIN_IFACE, 'JobRemoved', 'o', [job.path])


@dbus.service.method(MOCK_IFACE, in_signature='s', out_signature='s')
def AddGhost(self, name):
    '''Convenience method to have GetAllJobs name a job that is not there, as if it had just gone

    Returns the object path that it would have.
    '''
    self.ghosts.append(job_path(name))
    return job_path(name)


@dbus.service.method(MOCK_IFACE, in_signature='ssssa(si)', out_signature='s')
def AddInstance(self, job_name, name, goal, state, processes):
    '''Convenience method to add an instance of a job

    goal and state are such as "start" and "running"; processes are names and pids, such as [("main", 4711)].

    Emits InstanceAdded, and returns the new object path.
    '''
    job = get_job(job_name)
    path = f'{job.path}/{escape(name)}'
    self.AddObject(path, INSTANCE_IFACE, {
        'name': dbus.String(name),
        'goal': dbus.String(goal),
        'state': dbus.String(state),
        'processes': dbus.Array(processes, signature='(si)'),
    }, [])
    instance = get_object(path)
    instance.job = job
    add_methods(instance, INSTANCE_IFACE, INSTANCE_METHODS)
    job.EmitSignal(JOB_IFACE, 'InstanceAdded', 'o', [path])
    return path


@dbus.service.method(MOCK_IFACE, in_signature='ss', out_signature='')
def RemoveInstance(self, job_name, name):
    '''Convenience method to have an instance come to its rest

    Emits GoalChanged, StateChanged and InstanceRemoved.
    '''
    job = get_job(job_name)
    instance = get_instance(job, name)
    set_state(instance, 'stop', 'waiting')
    self.RemoveObject(instance.path)
    job.EmitSignal(JOB_IFACE, 'InstanceRemoved', 'o', [instance.path])


@dbus.service.method(MOCK_IFACE, in_signature='ssss', out_signature='')
def SetState(self, job_name, name, goal, state):
    '''Convenience method to change goal and state of an instance

    Emits GoalChanged and StateChanged for what differs.
    '''
    set_state(get_instance(get_job(job_name), name), goal, state)


@dbus.service.method(MOCK_IFACE, in_signature='ssa(si)', out_signature='')
def SetProcesses(self, job_name, name, processes):
    '''Convenience method to change the processes of an instance: their names and pids'''

    instance = get_instance(get_job(job_name), name)
    instance.props[INSTANCE_IFACE]['processes'] = dbus.Array(processes, signature='(si)')


@dbus.service.method(MOCK_IFACE, in_signature='sss', out_signature='')
def FailMethod(self, name, error_name, message):
    '''Convenience method to have a method fail until further notice

    name: as in the parameter "without", such as "Job.Start"
    error_name: a name on the bus, or the last part of one of Upstart's, such as "JobFailed"; '' lets the method work
    again
    '''
    if error_name:
        self.failures[str(name)] = (str(error_name), str(message))
    else:
        self.failures.pop(str(name), None)


@dbus.service.method(MOCK_IFACE, in_signature='sd', out_signature='')
def DelayMethod(self, name, seconds):
    '''Convenience method to have a method answer late until further notice

    name: as in the parameter "without", such as "Job.Start"
    seconds: 0 lets the method answer at once again

    The mock does one thing at a time: nobody else is answered meanwhile.
    '''
    self.delays[str(name)] = float(seconds)
