package transform

import (
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
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
		conditional := []string{"clone", "clone3", "sched_setaffinity", "sched_getaffinity", "tgkill", "prctl"}
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
