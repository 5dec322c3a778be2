package transform

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

func TestCanceledWhileWaiting(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, w := open(t, cfg)
	c := receiveWithin(t, p.ready, "the worker") // no other caller gets it
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := run(ctx, p, picture(t, 4, 4, 0), script(""))
		done <- err
	}()
	cancel()
	wantKind(t, receiveWithin(t, done, "the caller"), fault.Canceled)
	c.back <- handback{}
	if w.kinds[fault.Canceled] != 1 || p.Stats().Busy != 0 {
		t.Errorf("got %v, %+v", w.kinds, p.Stats())
	}
}

// Faults.md row 21: a caller that hangs up gets its goroutine back. The worker finishes its picture and serves the next
// caller.
func TestFault21CanceledWhileWorking(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, _ := open(t, cfg)
	fifo := makeFIFO(t)
	ctx, cancel := context.WithCancel(t.Context())
	emitted := 0
	err := p.Transform(ctx, variant.Original{Body: picture(t, 4, 4, 0)}, []variant.Spec{script(""), script("wait:" + fifo), script("")}, variant.StageFinal, func(int, variant.Image, error) {
		emitted++
		cancel()
	})
	wantKind(t, err, fault.Canceled)
	openFIFO(t, fifo)
	if _, err := run(t.Context(), p, picture(t, 4, 4, 0), script("")); err != nil {
		t.Error(err)
	}
	if got := p.Stats(); emitted != 1 || got.Spawned != 1 {
		t.Errorf("emitted %d, %+v; want 1 and the same worker", emitted, got)
	}
	if !p.memory.free.TryAcquire(cfg.ImageMemory) {
		t.Error("memory was not given back")
	}
}

func TestPanickingCallerLosesNoWorker(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 1
	p, _ := open(t, cfg)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = p.Transform(t.Context(), variant.Original{Body: picture(t, 4, 4, 0)}, []variant.Spec{script("")}, variant.StageFinal, func(int, variant.Image, error) { panic("caller") })
	}()
	if _, err := run(t.Context(), p, picture(t, 4, 4, 0), script("")); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsWorkersAndCallers(t *testing.T) {
	p, _ := open(t, testConfig())
	pids := children(t, os.Getpid())
	if len(pids) < 2 {
		t.Fatalf("got children %v", pids)
	}
	fifo := makeFIFO(t)
	begun, done := make(chan struct{}), make(chan error, 2)
	go func() {
		done <- p.Transform(context.Background(), variant.Original{Body: picture(t, 4, 4, 0)}, []variant.Spec{script(""), script("wait:" + fifo)}, variant.StageFinal,
			func(int, variant.Image, error) { close(begun) })
	}()
	receiveWithin(t, begun, "the work")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	wantKind(t, receiveWithin(t, done, "the caller"), fault.ShuttingDown)
	_, err := run(t.Context(), p, picture(t, 4, 4, 0), script(""))
	wantKind(t, err, fault.ShuttingDown)
	for _, pid := range pids {
		if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
			t.Errorf("worker %d is still there: %v", pid, err)
		}
	}
	if p.Stats().Workers != 0 || p.Close() != nil {
		t.Error("a closed pool counts workers, or does not close again")
	}
}

// Whatever workers do, no descriptor, thread, process or memory is left of them.
func TestNothingLeaks(t *testing.T) {
	cycle := func() {
		cfg := testConfig()
		p, w := open(t, cfg)
		if _, err := run(t.Context(), p, picture(t, 4, 4, 0), script("signal:9")); err == nil {
			t.Error("no error")
		}
		w.ready(t, 2)
		_ = p.Close()
		_, _ = Open(t.Context(), liar(t, "no hello"), nil, nil)
	}
	cycle() // opens what the runtime opens once
	before := descriptors(t, os.Getpid())
	for range 3 {
		cycle()
	}
	if after := descriptors(t, os.Getpid()); len(after) > len(before) {
		t.Errorf("descriptors before %v, after %v", before, after)
	}
	if maps := sharedMemory(t, os.Getpid()); len(maps) != 0 {
		t.Errorf("still mapped: %v", maps)
	}
}

// A worker sees only its own shared memory: with another worker's it could read other people's originals.
func TestWorkersShareNoMemoryWithEachOther(t *testing.T) {
	cfg := testConfig()
	cfg.Workers = 4
	p, w := open(t, cfg)
	if _, err := run(t.Context(), p, picture(t, 4, 4, 0), script("signal:9")); err == nil {
		t.Error("no error")
	}
	w.ready(t, 2)
	seen := map[string]bool{}
	for _, pid := range children(t, os.Getpid()) {
		own := sharedMemory(t, pid)
		if len(own) != 1 {
			t.Errorf("worker %d maps %v, want one memory", pid, own)
		}
		for inode := range own {
			if seen[inode] {
				t.Errorf("two workers map memory %s", inode)
			}
			seen[inode] = true
		}
		for fd, target := range descriptors(t, pid) {
			if strings.Contains(target, "memfd") || strings.HasSuffix(target, ".test") {
				t.Errorf("worker %d holds descriptor %s: %s", pid, fd, target)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("looked at %d workers, want 4", len(seen))
	}
}

// parent is a server that will be killed while its only worker makes a picture.
func parent() {
	cfg := testConfig()
	p, err := Open(context.Background(), cfg, nil, nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var original bytes.Buffer
	original.Write(draw(variant.Spec{Width: 4, Height: 4}, 0).Body)
	_ = p.Transform(context.Background(), variant.Original{Body: original.Bytes()}, []variant.Spec{script(""), script("spin")}, variant.StageFinal, func(int, variant.Image, error) {
		fmt.Println("working")
	})
	select {}
}

func TestWorkersDieWithAKilledServer(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "working\n" {
		t.Fatalf("the server said %q, %v", line, err)
	}
	pids := children(t, cmd.Process.Pid)
	if len(pids) == 0 {
		t.Fatal("no workers found")
	}
	var watched []unix.PollFd
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		watched = append(watched, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for i := range watched {
		if n, err := unix.Poll(watched[i:i+1], int((10 * time.Second).Milliseconds())); n != 1 {
			t.Errorf("worker %d outlives its server (%v)", pids[i], err)
		}
	}
}

// children are the processes whose parent is pid.
func children(tb testing.TB, pid int) (pids []int) {
	tb.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		tb.Fatal(err)
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		var id, ppid int
		var state string
		_, _ = fmt.Sscan(string(b), &id)
		_, _ = fmt.Sscan(string(b[bytes.LastIndexByte(b, ')')+1:]), &state, &ppid)
		if ppid == pid && state != "Z" {
			pids = append(pids, id)
		}
	}
	return pids
}

func descriptors(tb testing.TB, pid int) map[string]string {
	tb.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			out[e.Name()] = target
		}
	}
	return out
}

var memfd = regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ (\d+) +/memfd:goldcrest`)

// sharedMemory is the set of inodes of our memory that a process maps.
func sharedMemory(tb testing.TB, pid int) map[string]bool {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]bool{}
	for _, m := range memfd.FindAllSubmatch(b, -1) {
		out[string(m[1])] = true
	}
	return out
}

// A worker that says nothing is given up after the limit.
func TestGreetGivesUp(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	c := &child{socket: os.NewFile(uintptr(pair[0]), "worker"), buf: make([]byte, 1024)}
	defer c.socket.Close()
	if err := c.greet("", time.Millisecond); err == nil || !strings.Contains(err.Error(), "not ready within 1ms") {
		t.Errorf("got %v", err)
	}
}
