package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// The file descriptors that a worker starts with.
const (
	workerSocket = 3
	workerMemory = 4
)

// worker is the state inside a worker process.
type worker struct {
	codec  Codec
	socket *os.File
	mem    []byte
	frames chan frame // from the server
}

// Serve runs a worker process. It makes one picture at a time for the server that started it, until that server closes
// the control socket or dies. It returns an error only if the worker cannot start.
func Serve(codec Codec, build string) error {
	// For each thread, some libraries keep files open that cannot be opened once the sandbox is closed, such as fonts.
	// enclose keeps the thread for the codec.
	runtime.LockOSThread()
	// The server decides when its workers end. Service managers signal all processes of a service at once, while
	// pictures are still in work.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGXFSZ)
	w := &worker{codec: codec, frames: make(chan frame)}
	if err := w.attach(); err != nil {
		return err
	}
	// If memory is short, the kernel should kill a worker and not the server. Without /proc it decides alone.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
	_ = os.WriteFile("/proc/self/comm", []byte("goldcrest-work"), 0)
	if err := codec.Warm(); err != nil {
		return err
	}
	greeting := hello{Build: build, Versions: codec.Versions()}
	if err := confine(); err != nil {
		return err
	}
	greeting.Sandbox = enclose(SandboxMode(os.Getenv(sandboxVariable)))
	// Again, now inside the sandbox: a library that needs a forbidden call fails here, and not on a viewer's picture.
	if err := codec.Warm(); err != nil {
		return fmt.Errorf("inside the sandbox: %w", err)
	}
	if err := send(w.socket, frame{Type: frameHello, Hello: &greeting}); err != nil {
		return err
	}
	go w.listen()
	for f := range w.frames {
		if err := w.handle(f); err != nil {
			return err
		}
	}
	return nil
}

// attach opens the socket and the memory.
func (w *worker) attach() error {
	var st unix.Stat_t
	if err := unix.Fstat(workerMemory, &st); err != nil || st.Size == 0 {
		return errors.New("a worker is started by the server only")
	}
	mem, err := unix.Mmap(workerMemory, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the shared memory: %w", err)
	}
	_ = unix.Close(workerMemory)
	_ = unix.SetNonblock(workerSocket, true)
	unix.CloseOnExec(workerSocket)
	w.mem, w.socket = mem, os.NewFile(workerSocket, "control")
	return nil
}

// confine gives up rights that a worker with loaded codecs does not need. No core files: they would hold other people's
// pictures.
func confine() error {
	for _, limit := range []struct {
		what  int
		value uint64
	}{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_NOFILE, 64}} {
		var have unix.Rlimit
		err := unix.Getrlimit(limit.what, &have)
		if err == nil {
			to := min(limit.value, have.Max)
			err = unix.Setrlimit(limit.what, &unix.Rlimit{Cur: to, Max: to})
		}
		if err != nil {
			return fmt.Errorf("limit a worker: %w", err)
		}
	}
	return limitThreads(threadRoom)
}

// threadRoom is how many threads this user may have beyond those at the start of a worker. The kernel counts all
// processes of a user together, also those in other containers, so the room is large. It stops a worker that starts
// threads without limit.
const threadRoom = 4096

// limitThreads bounds the threads that this process can start: to those of its user, plus room. The kernel does not
// apply the limit to root: there the control group must (pids.max, TasksMax).
func limitThreads(room uint64) error {
	var have unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &have); err != nil {
		return fmt.Errorf("limit the threads of a worker: %w", err)
	}
	to := min(have.Cur, have.Max, userThreads()+room)
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: to, Max: to}); err != nil {
		return fmt.Errorf("limit the threads of a worker: %w", err)
	}
	return nil
}

// userThreads counts the threads of this user as far as /proc shows them.
func userThreads() uint64 {
	var n uint64
	processes, _ := filepath.Glob("/proc/[0-9]*/task")
	for _, path := range processes {
		var s unix.Stat_t
		if unix.Stat(path, &s) == nil && int(s.Uid) == os.Getuid() {
			n += max(uint64(s.Nlink), 2) - 2 // one directory for each thread
		}
	}
	return n
}

// listen reads the server's frames. If the socket ends, the server is gone, and every caller of this picture too: the
// process ends at once, even during an encode.
func (w *worker) listen() {
	buf := make([]byte, maxFrame+1)
	for {
		f, err := receive(w.socket, buf)
		if errors.Is(err, io.EOF) {
			os.Exit(0)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "control socket:", err)
			os.Exit(1)
		}
		w.frames <- f
	}
}

func (w *worker) handle(f frame) error {
	switch f.Type {
	case framePing:
		return send(w.socket, frame{Type: framePong, ID: f.ID})
	case frameCheck:
		drift, err := w.codec.SelfCheck()
		return send(w.socket, frame{Type: frameChecked, ID: f.ID, Drift: drift, Fault: failureOf(err)})
	case frameRequest:
		done := w.transform(f.ID, f.Request)
		if err := send(w.socket, done); err != nil || !done.Panic {
			return err
		}
		return errors.New("the codec panicked")
	}
	return fmt.Errorf("unexpected %s frame", f.Type)
}

// transform runs the codec and returns the frame that ends the request. A panic is reported as a fault, and the process
// ends after it: the state of interrupted C code is not reliable.
func (w *worker) transform(id uint64, r *request) (done frame) {
	done = frame{Type: frameDone, ID: id}
	defer func() {
		if v := recover(); v != nil {
			fmt.Fprintf(os.Stderr, "panic: %v\n%s", v, debug.Stack())
			done.Panic, done.Fault = true, failureOf(fault.New(fault.Internal, "transform.Serve", "an internal error", fmt.Errorf("panic: %v", v)))
		}
	}()
	specs := r.Specs
	if r.Spilled > 0 {
		if err := json.Unmarshal(w.mem[r.Area:r.Area+r.Spilled], &specs); err != nil {
			done.Fault = failureOf(err)
			return done
		}
	}
	var lost error
	began := processTime()
	emit := func(i int, img variant.Image, err error) {
		if img.Choice.CPU = processTime() - began; lost == nil {
			lost = w.emit(id, r.Area, i, img, err)
		}
	}
	original := variant.Original{
		Body: w.mem[:r.Length:r.Length], Info: r.Info, Master: r.Master, Marks: findMarks(w.mem, r.Marks),
	}
	err := w.codec.Transform(original, specs, r.Stage, r.Limits, emit)
	done.Fault = failureOf(errors.Join(lost, err))
	return done
}

// processTime is the processor time of all threads of this process so far; 0 if the system does not report it.
func processTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// emit sends one variant or fault and returns when the server has copied it, so that the area is free again.
func (w *worker) emit(id uint64, area int64, i int, img variant.Image, err error) error {
	if err == nil && len(img.Body) > areaBytes {
		err = fault.New(fault.ResultTooLarge, "transform.Serve", "the variant has too many bytes", nil)
	}
	if err != nil {
		return send(w.socket, frame{Type: frameFault, ID: id, Index: i, Fault: failureOf(err)})
	}
	f := frame{Type: frameImage, ID: id, Index: i, Offset: area, Length: int64(len(img.Body)), Image: &img}
	copy(w.mem[area:], img.Body)
	img.Body = nil
	if err := send(w.socket, f); err != nil {
		return err
	}
	if answer := <-w.frames; answer.Type != frameTaken || answer.ID != id {
		return fmt.Errorf("unexpected %s frame", answer.Type)
	}
	return nil
}
