package transform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
)

// attacks are actions that must be impossible for a worker. Each returns nil if it succeeded.
var attacks = map[string]func() error{
	"read a file":           func() error { return opens("/etc/passwd", unix.O_RDONLY) },
	"list a directory":      func() error { return opens("/", unix.O_RDONLY|unix.O_DIRECTORY) },
	"write a file":          func() error { return opens(target(), unix.O_CREAT|unix.O_WRONLY) },
	"make a directory":      func() error { return unix.Mkdir(target()+"-dir", 0o700) },
	"look for a file":       func() error { return unix.Access("/etc/passwd", unix.F_OK) },
	"make a memory file":    func() error { _, err := unix.MemfdCreate("x", 0); return err },
	"server's memory, proc": func() error { return opens(fmt.Sprintf("/proc/%d/mem", os.Getppid()), unix.O_RDONLY) },
	"server's memory, call": readParent,
	"trace the server":      func() error { return unix.PtraceAttach(os.Getppid()) },
	"signal the server":     func() error { return unix.Kill(os.Getppid(), 0) },
	"signal a thread of it": func() error { return unix.Tgkill(os.Getppid(), os.Getppid(), 0) },
	"pin the server":        func() error { return unix.SchedSetaffinity(os.Getppid(), &unix.CPUSet{1}) },
	"where the server runs": func() error { return unix.SchedGetaffinity(os.Getppid(), &unix.CPUSet{}) },
	"where it runs itself":  func() error { return unix.SchedGetaffinity(0, &unix.CPUSet{}) },
	"pin itself":            func() error { return unix.SchedSetaffinity(0, &unix.CPUSet{1}) },
	"slow the server down":  func() error { return unix.Setpriority(unix.PRIO_PROCESS, os.Getppid(), 19) },
	"schedule the server":   func() error { return unix.SchedSetAttr(os.Getppid(), &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0) },
	"parameters of the server": func() error {
		var zero int32
		return call(unix.SYS_SCHED_SETPARAM, uintptr(os.Getppid()), uintptr(unsafe.Pointer(&zero)))
	},
	"limit the server":       func() error { return unix.Prlimit(os.Getppid(), unix.RLIMIT_NOFILE, nil, &unix.Rlimit{}) },
	"queue a signal":         func() error { return call(unix.SYS_RT_SIGQUEUEINFO, uintptr(os.Getppid()), 0, 0) },
	"move its memory":        func() error { return call(unix.SYS_MIGRATE_PAGES, uintptr(os.Getppid()), 0, 0) },
	"the server's handle":    func() error { return call(unix.SYS_PIDFD_OPEN, uintptr(os.Getppid()), 0) },
	"internet socket":        func() error { return sockets(unix.AF_INET) },
	"unix socket":            func() error { return sockets(unix.AF_UNIX) },
	"kernel socket":          func() error { return sockets(unix.AF_NETLINK) },
	"connect":                func() error { return unix.Connect(workerSocket, &unix.SockaddrInet4{Port: 80}) },
	"run a program":          func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
	"fork":                   func() error { return forks(uintptr(unix.SIGCHLD)) },
	"clone a process":        func() error { return forks(unix.CLONE_VM | unix.CLONE_FILES | uintptr(unix.SIGCHLD)) },
	"raise a limit":          func() error { return raise(unix.RLIMIT_NOFILE) },
	"raise the file limit":   func() error { return raise(unix.RLIMIT_FSIZE) },
	"raise a limit, old way": func() error { return call(unix.SYS_SETRLIMIT, unix.RLIMIT_NOFILE, 0) },
	"gain a user":            func() error { return call(unix.SYS_SETRESUID, 0, 0, 0) },
	"leave the namespace":    func() error { return unix.Unshare(unix.CLONE_NEWNS) },
	"mount":                  func() error { return unix.Mount("none", "/mnt", "tmpfs", 0, "") },
	"load a kernel program":  func() error { return call(unix.SYS_BPF, 0, 0, 0) },
	"io_uring":               func() error { return call(unix.SYS_IO_URING_SETUP, 1, 0) },
	"page faults":            func() error { return call(unix.SYS_USERFAULTFD, 0) },
	"be debugged":            func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
	"be quicker":             func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -20) },
}

// killed are the attacks that no library makes by mistake: they end the worker. The others fail.
var killed = []string{"server's memory, call", "trace the server", "signal the server", "signal a thread of it", "internet socket", "unix socket", "kernel socket",
	"connect", "run a program", "fork", "clone a process", "raise a limit, old way", "gain a user", "leave the namespace", "mount", "load a kernel program", "io_uring",
	"page faults", "be debugged", "queue a signal", "move its memory", "the server's handle"}

func target() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("goldcrest-attack-%d", os.Getpid()))
}

func opens(path string, how int) error {
	fd, err := unix.Open(path, how, 0o600)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func sockets(family int) error {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func call(nr uintptr, args ...uintptr) error {
	var a [3]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall(nr, a[0], a[1], a[2]); errno != 0 {
		return errno
	}
	return nil
}

func readParent() error {
	var b [8]byte
	remote := []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&b)), Len: len(b)}} // same address in both
	_, err := unix.ProcessVMReadv(os.Getppid(), []unix.Iovec{{Base: &b[0], Len: uint64(len(b))}}, remote, 0)
	return err
}

func forks(flags uintptr) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return nil
}

func raise(what int) error {
	return unix.Prlimit(0, what, &unix.Rlimit{Cur: 4096, Max: 4096}, nil)
}

// attack runs one of them on the calling thread, or on one that existed before the sandbox closed.
func attack(name string, elsewhere chan func()) string {
	var err error
	if elsewhere == nil {
		err = attacks[name]()
	} else {
		done := make(chan struct{})
		elsewhere <- func() { err = attacks[name](); close(done) }
		<-done
	}
	if err == nil {
		return "succeeded"
	}
	return "refused: " + err.Error()
}

// oldThread starts a thread that runs the functions that it is sent.
func oldThread() chan func() {
	work, ready := make(chan func()), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(ready)
		for f := range work {
			f()
		}
	}()
	<-ready
	return work
}

// syncBuffer keeps a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// openLogged is open with a kept log.
func openLogged(t *testing.T, cfg Config) (*Pool, *syncBuffer) {
	t.Helper()
	log := &syncBuffer{}
	p, err := Open(context.Background(), cfg, nil, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, log
}

// needSandbox skips the test if the kernel lacks a part of the sandbox. The pool then reports that at its start.
func needSandbox(t *testing.T) {
	t.Helper()
	if _, err := landlockVersion(); err != nil || !seccomp.Supported() {
		t.Skipf("this kernel lacks a part of the sandbox: Landlock %v, seccomp %v", err, seccomp.Supported())
	}
}

// A worker tries each attack on the thread of its codec and on one that is older than the sandbox.
func TestSandboxHolds(t *testing.T) {
	needSandbox(t)
	for name := range attacks {
		for _, op := range []string{"attack", "elsewhere"} {
			t.Run(op+"/"+name, func(t *testing.T) {
				t.Parallel()
				cfg := testConfig()
				cfg.Workers, cfg.Sandbox = 1, SandboxRequired
				p, log := openLogged(t, cfg)
				m, err := run(t.Context(), p, picture(t, 4, 4, 0), script(op+":"+name))
				if mustDie(name) {
					wantKind(t, err, fault.Poison)
					// The end of the second one is logged after the answer.
					said := log.String()
					ends := strings.Count(said, "worker ended")
					if ends == 0 || ends != strings.Count(said, `state="signal: bad system call`) {
						t.Errorf("the filter did not end the workers:\n%s", said)
					}
					return
				}
				if err != nil || !strings.HasPrefix(m.images[0].Note, "refused: ") {
					t.Errorf("got %q, %v; want a refusal\n%s", m.images[0].Note, err, log)
				}
			})
		}
	}
}

func mustDie(name string) bool {
	for _, k := range killed {
		if k == name {
			return true
		}
	}
	return false
}

// The same attacks succeed without the sandbox, so the test above can fail.
func TestAttacksWorkWithoutSandbox(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, log := openLogged(t, cfg)
	for _, name := range []string{"read a file", "list a directory", "make a directory", "look for a file", "make a memory file", "signal the server",
		"signal a thread of it", "internet socket", "unix socket", "kernel socket", "fork", "be debugged", "where the server runs",
		"schedule the server", "parameters of the server", "the server's handle"} {
		m, err := run(t.Context(), p, picture(t, 4, 4, 0), script("attack:"+name))
		if err != nil || m.images[0].Note != "succeeded" {
			t.Errorf("%s: got %q, %v", name, m.images[0].Note, err)
		}
	}
	_ = os.Remove(target() + "-dir")
	leftovers, _ := filepath.Glob(filepath.Join(os.TempDir(), "goldcrest-attack-*"))
	for _, path := range leftovers {
		_ = os.Remove(path)
	}
	if !strings.Contains(log.String(), "transform.sandbox is off") {
		t.Errorf("the log does not warn:\n%s", log)
	}
	if s := p.Sandbox(); !s.Off || s.Whole() || s.String() != "off" {
		t.Errorf("got %+v", s)
	}
}

// Work that a worker needs is possible in the sandbox, including new threads.
func TestSandboxAllowsThreads(t *testing.T) {
	needSandbox(t)
	cfg := testConfig()
	cfg.Sandbox = SandboxRequired
	p, log := openLogged(t, cfg)
	for range 4 {
		m, err := run(t.Context(), p, picture(t, 4, 4, 0), script("threads"))
		if err != nil || m.images[0].Note != "32 threads" {
			t.Errorf("got %q, %v\n%s", m.images[0].Note, err, log)
		}
	}
	if s := p.Sandbox(); !s.Whole() || !strings.Contains(log.String(), "workers are enclosed") {
		t.Errorf("got %+v:\n%s", s, log)
	}
}

// bomb starts more threads than the limit.
func bomb() {
	if err := limitThreads(16); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(manyThreads(64))
}

// A worker cannot start threads without limit. The kernel does not limit root, so the test uses another user.
func TestThreadsAreBounded(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "bomb")
	cmd.Env = append(os.Environ(), "GOTRACEBACK=none")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 61234, Gid: 61234}}
	}
	out, err := cmd.CombinedOutput()
	// The second is the message of a program with cgo, which this is under the race detector.
	said := strings.Contains(string(out), "failed to create new OS thread") || strings.Contains(string(out), "pthread_create failed")
	if err == nil || !said {
		t.Errorf("got %v:\n%s\nwant no more threads than there is room for", err, out)
	}
}

// manyThreads has n goroutines hold a thread each at the same time.
func manyThreads(n int) string {
	var all, done sync.WaitGroup
	all.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	done.Wait()
	return fmt.Sprintf("%d threads", n)
}

// A worker that reports less than the whole sandbox is accepted under auto, with a warning, and refused under required.
func TestSandboxIsEnforced(t *testing.T) {
	cfg := liar(t, "no json")
	cfg.Sandbox = SandboxRequired
	_, err := Open(t.Context(), cfg, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "transform.sandbox is required") || !strings.Contains(err.Error(), "auto") {
		t.Errorf("got %v; want a refusal that says what to do", err)
	}
	cfg.Sandbox = SandboxAuto
	p, log := openLogged(t, cfg)
	if !strings.Contains(log.String(), "only in part") || p.Sandbox().Whole() {
		t.Errorf("got %+v:\n%s", p.Sandbox(), log)
	}
	long := Sandbox{Missing: []string{strings.Repeat("x", 10*maxText) + "\n", "2", "3", "4", "5"}}.merge(errors.New("cause"))
	if len(long.Missing) != 5 || len(long.Missing[0]) > maxText || !strings.HasSuffix(long.String(), "cause") {
		t.Errorf("a worker's report is not bounded: %.500q", long)
	}
}

// oldKernel is a server on a kernel that answers ENOSYS to one system call.
func oldKernel(missing string) {
	err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{missing}}}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, mode := range []SandboxMode{SandboxAuto, SandboxRequired} {
		cfg := testConfig()
		cfg.Sandbox, cfg.Workers = mode, 1
		p, err := Open(context.Background(), cfg, nil, nil)
		if err != nil {
			fmt.Println(mode, "refuses:", err)
			continue
		}
		m, err := run(context.Background(), p, draw(script(""), 0).Body, script("attack:read a file"))
		fmt.Println(mode, "has", p.Sandbox(), "and reading is", m.images[0].Note, err)
		_ = p.Close()
	}
}

func TestSandboxOnOlderKernels(t *testing.T) {
	needSandbox(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for missing, want := range map[string][]string{
		"landlock_create_ruleset": {"auto has seccomp, without Landlock: this kernel has none", "and reading is refused", "required refuses: ", "Landlock from the start"},
		"seccomp":                 {"auto has Landlock ", "without seccomp: ", "and reading is refused", "required refuses: "},
	} {
		out, err := exec.Command(self, "oldkernel", missing).CombinedOutput()
		for _, text := range want {
			if err != nil || !strings.Contains(string(out), text) {
				t.Errorf("without %s: %v, no %q in\n%s", missing, err, text, out)
			}
		}
	}
}
