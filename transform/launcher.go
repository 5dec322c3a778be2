package transform

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// niceness gives workers a lower priority than the server, so that hits stay fast while every core encodes.
const niceness = 10

// startTimeout bounds the time from a worker's start to its first frame. The start needs 0.2 s of a processor. When
// other processes use all processors, a process of this niceness gets a hundredth. A worker killed too early would
// start again for ever. Where Timeout is longer it is the bound: under QEMU everything takes longer.
const startTimeout = time.Minute

// environment is the environment of a worker: a tight allocator (one arena, no remapped row buffers), a heap that is
// collected when it has doubled (ADR 5), libvips' fixed behaviour, and palettes without threads that spin while waiting.
var environment = []string{
	"MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=33554432", "MALLOC_TRIM_THRESHOLD_=33554432",
	"GOMAXPROCS=1", "GOGC=100",
	"VIPS_CONCURRENCY=1", "OMP_NUM_THREADS=1", "VIPS_WARNING=0", "LC_ALL=C.UTF-8",
}

// inputsVariable tells a worker the formats that it reads.
const inputsVariable = "GOLDCREST_TRANSFORM_INPUTS"

// passedOn are the variables that workers inherit: only those that say where the libraries are.
var passedOn = []string{"VIPSHOME", "LIBHEIF_PLUGIN_PATH", "LD_LIBRARY_PATH"}

// launcher starts all workers from one thread. The kernel kills a child when the *thread* that started it ends
// (PR_SET_PDEATHSIG), and children inherit that thread's priority, no_new_privs and Landlock rules.
type launcher struct {
	path string
	args []string
	env  []string
	exe  *os.File // this executable as at the start: an upgrade on disk must not mix versions; nil with a command
	log  *slog.Logger

	sandbox SandboxMode
	birth   chan error // result of the first sandbox layer of workers, sent once

	calls chan func()
	ended chan struct{}
}

func newLauncher(cfg Config, log *slog.Logger) (*launcher, error) {
	l := &launcher{log: log, sandbox: cfg.Sandbox, birth: make(chan error, 1), calls: make(chan func()), ended: make(chan struct{})}
	l.env = append(l.env, environment...)
	l.env = append(l.env, "GOLDCREST_TRANSFORM_ENGINE="+cfg.Engine, inputsVariable+"="+strings.Join(cfg.Inputs, ","),
		sandboxVariable+"="+string(cfg.Sandbox))
	for _, name := range passedOn {
		if v, ok := os.LookupEnv(name); ok {
			l.env = append(l.env, name+"="+v)
		}
	}
	if err := l.program(cfg.Command); err != nil {
		return nil, err
	}
	go l.run(nil)
	return l, nil
}

func (l *launcher) program(command []string) error {
	if len(command) > 0 {
		path, err := exec.LookPath(command[0])
		if err == nil {
			path, err = filepath.Abs(path)
		}
		l.path, l.args = path, command
		return err
	}
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open this executable: %w", err)
	}
	// The child puts its socket and memory at 3 and 4 before it executes, so the executable needs a higher number.
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10)
	_ = unix.Close(fd)
	if err != nil {
		return fmt.Errorf("open this executable: %w", err)
	}
	l.exe = os.NewFile(uintptr(high), "exe")
	l.path = "/proc/self/fd/" + strconv.Itoa(high)
	l.args = []string{filepath.Base(os.Args[0]), "worker"}
	return nil
}

// run owns the launching thread until close. The goroutine ends locked, so the thread ends with it. If settled is not
// nil, it is closed when the thread is chosen.
func (l *launcher) run(settled chan<- struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread represents the whole process in ps, and it cannot end. Hold it until another one is found.
		next := make(chan struct{})
		go l.run(next)
		<-next
		runtime.UnlockOSThread()
		return
	}
	if settled != nil {
		close(settled)
	}
	defer close(l.ended)
	tid := unix.Gettid()
	if now, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && 20-now < niceness {
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, niceness)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		l.log.Warn("workers may gain privileges", "error", err)
	}
	if l.sandbox == SandboxOff {
		l.birth <- nil
	} else {
		l.birth <- landlockAtBirth()
	}
	for call := range l.calls {
		call()
	}
}

func (l *launcher) close() {
	close(l.calls)
	<-l.ended
	if l.exe != nil {
		_ = l.exe.Close()
	}
}

// start runs a worker process with its own socket and memory. It does not wait for the worker's first frame.
func (l *launcher) start(originalBytes int64) (*child, error) {
	mem, err := newMemory(originalBytes)
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		mem.close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	read, write, err := os.Pipe()
	if err != nil {
		_ = ours.Close()
		mem.close()
		return nil, fmt.Errorf("stderr: %w", err)
	}
	defer write.Close()
	cmd := &exec.Cmd{Path: l.path, Args: l.args, Env: l.env, Dir: "/", Stderr: write, ExtraFiles: []*os.File{theirs, mem.file},
		// A separate process group keeps a terminal's Ctrl-C away from workers that still finish their pictures.
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}}
	done := make(chan error)
	l.calls <- func() { done <- cmd.Start() }
	if err := <-done; err != nil {
		_ = ours.Close()
		_ = read.Close()
		mem.close()
		return nil, err
	}
	return adopt(cmd, ours, mem, read, l.log), nil
}

// adopt wraps a started process and reaps it when it ends.
func adopt(cmd *exec.Cmd, socket *os.File, mem *memory, stderr io.ReadCloser, log *slog.Logger) *child {
	c := &child{cmd: cmd, pid: cmd.Process.Pid, socket: socket, mem: mem, buf: make([]byte, maxFrame+1),
		exited: make(chan struct{}), back: make(chan handback)}
	c.words = &words{log: log.With("pid", c.pid)}
	go func() {
		c.words.drain(stderr)
		_ = stderr.Close()
		_ = cmd.Wait() // The state has everything: an exit status is no error here.
		close(c.exited)
	}()
	return c
}
