package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// callIn makes a thread of another process execute a system call, with the instruction at which it waits in one, and
// returns the result. ended: the call ended the process.
func callIn(t *testing.T, pid int, number uint64, args ...uint64) (result int64, ended bool) {
	t.Helper()
	runtime.LockOSThread() // Tracing is bound to a thread.
	defer runtime.UnlockOSThread()
	if err := syscall.PtraceAttach(pid); err != nil {
		t.Skipf("this user may not trace a process of its own: %v", err)
	}
	defer func() { _ = syscall.PtraceDetach(pid) }()
	var status syscall.WaitStatus
	var was, now syscall.PtraceRegs
	if _, err := syscall.Wait4(pid, &status, syscall.WALL, nil); err != nil || !status.Stopped() {
		t.Fatalf("the worker did not stop: %v, %v", status, err)
	}
	if err := syscall.PtraceGetRegs(pid, &was); err != nil {
		t.Fatal(err)
	}
	instruction := make([]byte, 2)
	if _, err := syscall.PtracePeekText(pid, uintptr(was.Rip-2), instruction); err != nil || string(instruction) != "\x0f\x05" {
		t.Fatalf("the worker does not wait in a system call: % x, %v", instruction, err)
	}
	now = was
	now.Rip, now.Rax, now.Orig_rax = was.Rip-2, number, ^uint64(0)
	for i, arg := range args {
		*[]*uint64{&now.Rdi, &now.Rsi, &now.Rdx, &now.R10}[i] = arg
	}
	if err := syscall.PtraceSetRegs(pid, &now); err != nil {
		t.Fatal(err)
	}
	if err := syscall.PtraceSingleStep(pid); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(pid, &status, syscall.WALL, nil); err != nil {
		t.Fatal(err)
	}
	if status.Exited() || status.Signaled() || status.StopSignal() == syscall.SIGSYS {
		return 0, true
	}
	if err := syscall.PtraceGetRegs(pid, &now); err != nil {
		t.Fatal(err)
	}
	if err := syscall.PtraceSetRegs(pid, &was); err != nil {
		t.Fatal(err)
	}
	return int64(now.Rax), false
}

// TestAttackWorkerPinsTheServer is attack 4.2: a compromised worker pins threads of the server to one core, lowers
// their priority, or creates processes and threads without end. The test takes over a worker by tracing it. Each call
// is refused, or ends the worker.
func TestAttackWorkerPinsTheServer(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the registers are those of amd64")
	}
	s := sandboxed(t)
	threads, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "task", "*"))
	if err != nil || len(threads) == 0 {
		t.Fatalf("the server's threads: %v, %v", threads, err)
	}
	server, err := strconv.ParseUint(filepath.Base(threads[len(threads)-1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	affinity := func() string {
		text, err := os.ReadFile(filepath.Join(threads[len(threads)-1], "status"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "Cpus_allowed:")
		rest, _, _ = strings.Cut(rest, "\n")
		return rest
	}
	before := affinity()
	for name, call := range map[string][]uint64{
		"sched_setaffinity of the server": {syscall.SYS_SCHED_SETAFFINITY, server, 8, 0},
		"setpriority of the server":       {syscall.SYS_SETPRIORITY, 0, server, 19},
		"fork":                            {syscall.SYS_FORK},
		"vfork":                           {syscall.SYS_VFORK},
		"kill the server":                 {syscall.SYS_KILL, server, 0},
	} {
		pid := s.crew()[0]
		if call[0] == syscall.SYS_SCHED_SETAFFINITY {
			mask, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
			if err != nil {
				t.Fatal(err)
			}
			fields := strings.Fields(string(mask[strings.LastIndexByte(string(mask), ')')+1:]))
			call[3], err = strconv.ParseUint(fields[25], 10, 64) // its stack: any bytes will do whose lowest core bit is set
			if err != nil {
				t.Fatal(err)
			}
		}
		got, ended := callIn(t, pid, call[0], call[1:]...)
		t.Logf("%s: %d, the worker ended: %t", name, got, ended)
		if !ended && (got >= 0 || syscall.Errno(-got) != syscall.EPERM && syscall.Errno(-got) != syscall.EACCES) {
			t.Errorf("%s: a worker gets %d (%v)", name, got, syscall.Errno(-got))
		}
	}
	if after := affinity(); after != before {
		t.Errorf("the server may run on %s, and before on %s", after, before)
	}
	limits, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.crew()[0]), "limits"))
	if err != nil || strings.Contains(string(limits), "Max processes             unlimited") {
		t.Errorf("a worker may make threads without bound: %v\n%s", err, limits)
	}
	within(t, 20*time.Second, "the workers make pictures", func() bool { return s.metric("goldcrest_workers") == 2 })
}
