package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// child is the server's side of one worker process. Between start and end one goroutine at a time uses it.
type child struct {
	cmd    *exec.Cmd
	pid    int
	socket *os.File
	mem    *memory
	words  *words
	hello  hello
	buf    []byte
	exited chan struct{} // closed when the process was reaped
	back   chan handback // a borrower returns the worker to its slot here

	lastID   uint64
	served   int
	baseline int64 // private bytes at its first frame
}

// order is the request of one attempt: the specs of todo, out of specs.
type order struct {
	original variant.Original
	specs    []variant.Spec
	stage    variant.Stage
	todo     []int
	limits   Limits
	timeout  time.Duration // for each variant
	cpu      time.Duration // for each variant
}

// event is the variant or fault of one spec.
type event struct {
	i   int
	img variant.Image
	err error
}

// cause says why a worker ended or must end; it is a metric label.
type cause string

// The causes. Only causeCrash and causeLie count against the original.
const (
	causeNone    cause = ""
	causeCrash   cause = "crash"   // it died while it worked
	causeLie     cause = "lie"     // it broke the protocol: taken over, or corrupted
	causeTimeout cause = "timeout" // killed at the deadline in wall time
	causeCPU     cause = "cpu"     // killed at its processor budget
	causePanic   cause = "panic"   // its codec panicked
	causeIdle    cause = "idle"    // it died, or stopped responding, without work
	causeStart   cause = "start"   // it never became ready
	causeRecycle cause = "recycle" // it served its number of requests
	causeMemory  cause = "memory"  // its memory exceeded the bound
	causeUnused  cause = "unused"  // a worker aside without work for a while
	causeClose   cause = "close"   // the pool was closed
)

// ending is how an attempt ended: a cause to replace the worker, or none, and then the codec's fault for all specs
// without one of their own.
type ending struct {
	cause  cause
	detail error // for the operator
	err    error
	cpu    time.Duration
}

// greet waits for the first frame and checks that the worker has the same build.
func (c *child) greet(build string, limit time.Duration) error {
	_ = c.socket.SetReadDeadline(time.Now().Add(limit))
	f, err := receive(c.socket, c.buf)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("it was not ready within %v", limit)
		} else {
			c.kill()
			<-c.exited
			err = fmt.Errorf("it ended with %v: %s", c.cmd.ProcessState, c.words)
		}
		return err
	}
	if f.Type != frameHello {
		return fmt.Errorf("its first frame is a %s", f.Type)
	}
	if f.Hello.Build != build {
		return fmt.Errorf("it is of build %q, the server of build %q", clean(f.Hello.Build), build)
	}
	c.hello = *f.Hello
	return nil
}

// prepare copies the original and the specs to the worker's memory and returns the packet that starts the work. The
// original is not read after that.
func (c *child) prepare(o order) ([]byte, error) {
	specs := make([]variant.Spec, len(o.todo))
	for k, i := range o.todo {
		specs[k] = o.specs[i]
		specs[k].Fallback, specs[k].Watermark.Source = "", "" // A worker needs no URLs, which may hold secrets.
	}
	copy(c.mem.bytes[:c.mem.area], o.original.Body)
	var marks []markAt
	marks, c.mem.used = layMarks(c.mem.bytes[:c.mem.area], o.original)
	c.lastID++
	r := request{
		Length: int64(len(o.original.Body)), Area: c.mem.area, Limits: o.limits, Specs: specs, Stage: o.stage,
		Info: o.original.Info, Master: o.original.Master, Marks: marks,
	}
	f := frame{Type: frameRequest, ID: c.lastID, Request: &r}
	packet, err := json.Marshal(f)
	if err != nil || len(packet) <= maxFrame {
		return packet, err
	}
	// Specs that do not fit into a packet go to the area of the first variant.
	b, err := json.Marshal(specs)
	if err != nil {
		return nil, err
	}
	if len(b) > areaBytes {
		return nil, fmt.Errorf("%d specs in one request", len(specs))
	}
	r.Specs, r.Spilled = nil, int64(len(b))
	copy(c.mem.bytes[c.mem.area:], b)
	return encodeFrame(f)
}

// begin sends the packet of a request. An error means that the worker never read it.
func (c *child) begin(packet []byte, timeout time.Duration) error {
	_ = c.socket.SetWriteDeadline(time.Now().Add(timeout))
	_, err := c.socket.Write(packet)
	return err
}

// exchange follows a started request to its end and delivers each spec once. It returns in bounded time whatever the
// worker does, and leaves the worker killed unless the cause is none or causePanic.
func (c *child) exchange(o order, deliver func(event)) ending {
	m := newMeter(c.pid, o.timeout, o.cpu, len(o.todo))
	seen := make([]bool, len(o.todo))
	largest := int64(0)
	for {
		f, err := c.next(m)
		if errors.Is(err, errTimeout) {
			return c.cut(m, causeTimeout, err)
		}
		if errors.Is(err, errCPU) {
			return c.cut(m, causeCPU, err)
		}
		if err != nil {
			return c.cut(m, c.causeOf(err), err)
		}
		if f.ID != c.lastID {
			return c.cut(m, causeLie, fmt.Errorf("a frame of request %d in request %d", f.ID, c.lastID))
		}
		if f.Type == frameDone {
			end := ending{cpu: m.total(), err: f.Fault.err()}
			if f.Panic {
				end.cause = causePanic
			}
			if err := c.mem.trim(largest); err != nil && end.cause == causeNone {
				end.cause, end.detail = causeMemory, err
			}
			return end
		}
		e, err := c.accept(f, o, seen)
		if err != nil {
			return c.cut(m, c.causeOf(err), err)
		}
		largest = max(largest, f.Length)
		deliver(e)
		m.restart()
	}
}

// accept converts an image or fault frame to an event. A variant is copied out of shared memory before it is checked,
// so that the worker cannot change it between check and use.
func (c *child) accept(f frame, o order, seen []bool) (event, error) {
	if f.Index < 0 || f.Index >= len(seen) || seen[f.Index] {
		return event{}, fmt.Errorf("a %s frame for spec %d of %d", f.Type, f.Index, len(seen))
	}
	seen[f.Index] = true
	i := o.todo[f.Index]
	switch f.Type {
	case frameFault:
		return event{i: i, err: f.Fault.err()}, nil
	case frameImage:
		if f.Offset != c.mem.area || f.Length < 1 || f.Length > areaBytes {
			return event{}, fmt.Errorf("a variant of %d bytes at %d", f.Length, f.Offset)
		}
		img := *f.Image
		img.Body = make([]byte, f.Length)
		copy(img.Body, c.mem.bytes[f.Offset:f.Offset+f.Length])
		_ = c.socket.SetWriteDeadline(time.Now().Add(o.timeout))
		if err := send(c.socket, frame{Type: frameTaken, ID: f.ID}); err != nil {
			return event{}, err
		}
		img.Note, img.SourceFormat = clean(img.Note), clean(img.SourceFormat)
		img.Choice.Kind, img.Choice.Tried = clean(img.Choice.Kind), clean(img.Choice.Tried)
		return event{i: i, img: img}, trustworthy(img, o.specs[i], o.stage, o.limits)
	}
	return event{}, fmt.Errorf("a %s frame inside a request", f.Type)
}

var (
	errTimeout = errors.New("the wall time is used up")
	errCPU     = errors.New("the processor time is used up")
)

// next waits for a frame and checks the meter while it waits.
func (c *child) next(m *meter) (frame, error) {
	for {
		_ = c.socket.SetReadDeadline(m.next())
		f, err := receive(c.socket, c.buf)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return f, err
		}
		if err := m.spent(); err != nil {
			return frame{}, err
		}
	}
}

// causeOf distinguishes a dead worker from one that breaks the protocol.
func (c *child) causeOf(err error) cause {
	var path *os.PathError
	if errors.As(err, &path) || errors.Is(err, io.EOF) {
		return causeCrash
	}
	return causeLie
}

// cut ends an attempt that cannot continue.
func (c *child) cut(m *meter, why cause, detail error) ending {
	cpu := m.total()
	c.kill()
	<-c.exited
	if why == causeCrash {
		detail = fmt.Errorf("%v: %w", c.cmd.ProcessState, detail)
	}
	return ending{cause: why, detail: detail, cpu: cpu}
}

// ping reports whether an idle worker still responds.
func (c *child) ping(timeout time.Duration) bool {
	_ = c.socket.SetDeadline(time.Now().Add(timeout))
	c.lastID++
	if send(c.socket, frame{Type: framePing, ID: c.lastID}) != nil {
		return false
	}
	f, err := receive(c.socket, c.buf)
	return err == nil && f.Type == framePong && f.ID == c.lastID
}

// kill ends the process; there is nothing to shut down in it.
func (c *child) kill() { _ = c.cmd.Process.Kill() }

// dispose kills and reaps the process and frees its resources.
func (c *child) dispose() {
	c.kill()
	<-c.exited
	_ = c.socket.Close()
	c.mem.close()
}
