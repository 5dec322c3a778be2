package transform

import (
	"os"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// callsAllowed are the system calls of a working worker: memory, threads, clocks, and the descriptors that it has
// already.
var callsAllowed = []string{
	"read", "write", "readv", "writev", "close", "fstat", "lseek", "poll", "ppoll", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "map_shadow_stack", "get_mempolicy", "set_mempolicy",
	"futex", "futex_wait", "futex_wake", "futex_requeue", "futex_waitv", "membarrier", "rseq", "set_robust_list", "set_tid_address",
	"sched_yield", "sched_getparam", "sched_getscheduler", "sched_get_priority_max",
	"sched_get_priority_min", "getcpu", "gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getpriority", "getrusage", "times",
	"sysinfo", "uname", "rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "rt_sigtimedwait", "sigaltstack", "restart_syscall",
	"nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "getrandom", "exit", "exit_group",
}

// callsRefused are calls that libraries try without need, or in versions that were not tested. They fail with an error.
// newfstatat is named fstatat on arm64.
var callsRefused = []string{
	"open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "stat", "lstat", "newfstatat", "fstatat", "statx", "statfs", "fstatfs",
	"readlink", "readlinkat", "getcwd", "getdents64", "memfd_create", "mkdir", "mkdirat", "unlink", "unlinkat", "ftruncate", "fallocate", "fcntl", "ioctl",
	"prlimit64", "getrlimit", "setpriority", "sched_setscheduler", "sched_setattr", "sched_setparam", "mlock", "mlock2", "eventfd2", "pipe2", "dup", "dup3",
	"getpeername", // GLib asks where a warning goes to
	// Workers may not pin threads of other processes. Libraries ask how many processors there are, and about their own
	// threads, and work without an answer.
	"sched_setaffinity", "sched_getaffinity",
}

const (
	setName   = unix.PR_SET_NAME
	nameRange = unix.PR_SET_VMA // the Go runtime and glibc name their memory
)

// filterCalls restricts all threads of the process at once. A refused call fails. Any call that is neither allowed nor
// refused, such as for a socket, a new program, another process or its memory, kills the process at once, which the
// server counts as a crash.
func filterCalls() error {
	info, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	return seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: filterOf(info, os.Getpid())})
}

// filterOf is the filter of the worker with this process id.
//
// go-seccomp-bpf v1.6.0 does not load the number of the call again after a condition that does not hold: all that
// follows is compared with the low word of the argument. So nothing may follow the group with conditions, and in it a
// call whose condition allows a number of a call comes first.
func filterOf(info *arch.Info, pid int) seccomp.Policy {
	known := func(names []string) []string {
		var out []string
		for _, name := range names {
			if _, ok := info.SyscallNames[name]; ok {
				out = append(out, name)
			}
		}
		return out
	}
	is := func(call string, argument uint32, op seccomp.Operation, value uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: call, Conditions: seccomp.ArgumentConditions{{Argument: argument, Operation: op, Value: value}}}
	}
	return seccomp.Policy{DefaultAction: seccomp.ActionKillProcess, Syscalls: []seccomp.SyscallGroup{
		{Action: seccomp.ActionAllow, Names: known(callsAllowed)},
		{Action: seccomp.ActionErrno, Names: known(callsRefused)},
		// clone3 passes its flags in memory, where no filter sees them; the C library then falls back to clone.
		{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: known([]string{"clone3"})},
		// Signals, but only to itself; threads, but no processes.
		{Action: seccomp.ActionAllow, NamesWithCondtions: []seccomp.NameWithConditions{
			is("tgkill", 0, seccomp.Equal, uint64(pid)),
			is("prctl", 0, seccomp.Equal, setName),
			is("prctl", 0, seccomp.Equal, nameRange),
			is("clone", 0, seccomp.BitsSet, unix.CLONE_THREAD),
		}},
	}}
}
