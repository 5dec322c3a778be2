package transform

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The calls of the filter exist on both processors, except those that one of them never had or names in another way.
// The filter leaves out the names that it does not know, and such a call kills the worker.
func TestFilterNamesCallsOfBothProcessors(t *testing.T) {
	for processor, absent := range map[*arch.Info][]string{
		arch.X86_64: {"fstatat"},
		arch.AARCH64: {"poll", "epoll_wait", "time", "open", "creat", "access", "stat", "lstat", "newfstatat",
			"readlink", "mkdir",
			"unlink"},
	} {
		conditional := []string{"clone", "clone3", "tgkill", "prctl"}
		for _, name := range slices.Concat(callsAllowed, callsRefused, conditional) {
			_, known := processor.SyscallNames[name]
			if want := !slices.Contains(absent, name); known != want {
				t.Errorf("%s: %s is known: %v, want %v", processor.Name, name, known, want)
			}
		}
	}
	if audit := uint32(arch.AARCH64.ID); audit != 0xc00000b7 { // AUDIT_ARCH_AARCH64
		t.Errorf("the filter asks on arm64 for %#x", audit)
	}
}

// The filter is run on calls as the kernel runs it, also on those whose argument is the number of another call.
func TestFilterJudgesArguments(t *testing.T) {
	info := arch.X86_64
	number := func(name string) int { return info.SyscallNames[name] }
	const (
		allow, refuse = uint32(seccomp.ActionAllow), uint32(seccomp.ActionErrno)
		kill          = uint32(seccomp.ActionKillProcess)
	)
	for _, pid := range []int{7, number("tgkill"), number("prctl"), number("clone")} {
		policy := filterOf(info, pid)
		program, err := policy.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		vm, err := bpf.NewVM(program)
		if err != nil {
			t.Fatal(err)
		}
		judge := func(name string, argument uint64) uint32 {
			data := make([]byte, 64) // struct seccomp_data; the VM reads words in network byte order
			binary.BigEndian.PutUint32(data, uint32(number(name)))
			binary.BigEndian.PutUint32(data[4:], uint32(info.ID))
			binary.BigEndian.PutUint32(data[16:], uint32(argument))
			binary.BigEndian.PutUint32(data[20:], uint32(argument>>32))
			verdict, err := vm.Run(data)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(verdict) &^ 0xffff
		}
		for _, x := range []struct {
			name     string
			argument uint64
			want     uint32
		}{
			{"read", 0, allow}, {"socket", 2, kill}, {"fork", 0, kill}, {"openat", 0, refuse}, {"clone3", 0, refuse},
			{"sched_getaffinity", 0, refuse}, {"sched_getaffinity", uint64(pid), refuse},
			{"sched_setaffinity", 0, refuse}, {"sched_setaffinity", 1, refuse},
			{"clone", unix.CLONE_THREAD | unix.CLONE_VM, allow}, {"clone", uint64(unix.SIGCHLD), kill},
			{"tgkill", uint64(pid), allow}, {"tgkill", uint64(pid) | 1<<32, kill}, {"tgkill", 1, kill},
			{"prctl", setName, allow}, {"prctl", nameRange, allow}, {"prctl", unix.PR_SET_DUMPABLE, kill},
		} {
			if got := judge(x.name, x.argument); got != x.want {
				t.Errorf("process %d: %s(%#x): %#x, want %#x", pid, x.name, x.argument, got, x.want)
			}
		}
		for _, name := range []string{"tgkill", "prctl", "clone"} {
			for argument := range uint64(500) {
				allowed := name == "tgkill" && argument == uint64(pid) || name == "prctl" && argument == setName
				if got := judge(name, argument); (got == allow) != allowed {
					t.Errorf("process %d: %s(%d): %#x", pid, name, argument, got)
				}
			}
		}
	}
}
