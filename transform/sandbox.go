package transform

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// SandboxMode says how to handle a kernel that cannot restrict workers completely.
type SandboxMode string

// The modes. SandboxAuto restricts as much as the kernel can, and logs what is missing.
const (
	SandboxAuto     SandboxMode = "auto"
	SandboxRequired SandboxMode = "required"
	SandboxOff      SandboxMode = "off"
)

// sandboxVariable tells a worker the mode.
const sandboxVariable = "GOLDCREST_TRANSFORM_SANDBOX"

// Sandbox is how the kernel restricts a worker, beyond the limits that every kernel has.
type Sandbox struct {
	Off      bool     `json:"off,omitempty"`     // no restriction was requested
	Landlock int      `json:"landlock"`          // version of the kernel's Landlock; 0 = it does not restrict files
	Seccomp  bool     `json:"seccomp"`           // system calls are filtered
	Missing  []string `json:"missing,omitempty"` // restrictions that failed, for the operator
}

// Whole reports whether nothing is missing.
func (s Sandbox) Whole() bool { return !s.Off && s.Landlock > 0 && s.Seccomp && len(s.Missing) == 0 }

// String is one line for people.
func (s Sandbox) String() string {
	if s.Off {
		return "off"
	}
	parts := make([]string, 0, 3)
	if s.Landlock > 0 {
		parts = append(parts, fmt.Sprintf("Landlock %d", s.Landlock))
	}
	if s.Seccomp {
		parts = append(parts, "seccomp")
	}
	if len(s.Missing) > 0 {
		parts = append(parts, "without "+strings.Join(s.Missing, ", without "))
	}
	return strings.Join(parts, ", ")
}

// KernelSandbox returns how this kernel would restrict a worker.
func KernelSandbox() Sandbox {
	var s Sandbox
	var err error
	if s.Landlock, err = landlockVersion(); err != nil {
		s.Missing = append(s.Missing, "Landlock: "+err.Error())
	}
	if s.Seccomp = seccomp.Supported(); !s.Seccomp {
		s.Missing = append(s.Missing, "seccomp: this kernel has none")
	}
	return s
}

// merge adds the server's result for the layer that workers start with. The report of a worker is cleaned like all its
// texts.
func (s Sandbox) merge(birth error) Sandbox {
	s.Missing = s.Missing[:min(len(s.Missing), 4)]
	for i := range s.Missing {
		s.Missing[i] = clean(s.Missing[i])
	}
	if birth != nil && !s.Off {
		s.Missing = append(s.Missing, "Landlock from the start: "+birth.Error())
	}
	return s
}

// enclose is a worker's last step before it gets a picture. The calling goroutine keeps its thread for ever.
//
// seccomp's filter applies to every thread at once. Landlock's applies to the calling thread and those that it starts;
// before Landlock 8 the kernel cannot apply it to all. So the codec works on this very thread. A thread that the
// runtime or a library started earlier is restricted by the filter and by the layer that the worker started with.
func enclose(mode SandboxMode) Sandbox {
	runtime.LockOSThread()
	if mode == SandboxOff {
		return Sandbox{Off: true}
	}
	var s Sandbox
	version, err := landlockNothing()
	if err != nil {
		s.Missing = append(s.Missing, "Landlock: "+err.Error())
	}
	s.Landlock = version
	if err := filterCalls(); err != nil {
		s.Missing = append(s.Missing, "seccomp: "+err.Error())
	}
	// The filter is applied to all threads or to none; a test call is the only way to know.
	_, err = unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	s.Seccomp = errors.Is(err, unix.EPERM)
	if !s.Seccomp && len(s.Missing) == 0 {
		s.Missing = append(s.Missing, "seccomp: the filter does not hold")
	}
	return s
}

// enforce decides whether a pool may work with workers that are restricted like this.
func (s Sandbox) enforce(mode SandboxMode) error {
	if mode == SandboxRequired && !s.Whole() {
		return fmt.Errorf("transform.sandbox is required, but workers are enclosed only by: %s; use a kernel with Landlock (5.13) and seccomp, "+
			"let the container runtime pass both, or set transform.sandbox to auto", s)
	}
	return nil
}

// announce logs the sandbox once per pool.
func (s Sandbox) announce(log *slog.Logger) {
	switch {
	case s.Off:
		log.Warn("workers are not enclosed: transform.sandbox is off; a picture that takes one over can do what this user can")
	case s.Whole():
		log.Info("workers are enclosed", "landlock", s.Landlock, "seccomp", s.Seccomp)
	default:
		log.Warn("workers are enclosed only in part; transform.sandbox: required would refuse to start", "state", s.String())
	}
}
