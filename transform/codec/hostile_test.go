package codec

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/variant"
)

// childFile is the variable with the file that a child process of this test binary transforms instead of running tests.
const childFile = "GOLDCREST_CODEC_CHILD"

// TestMain runs this binary as the child process of a test, or as a worker, like the program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(worker())
	}
	if path := os.Getenv(childFile); path != "" {
		os.Exit(child(path))
	}
	os.Exit(m.Run())
}

// worker runs a worker process.
func worker() int {
	c, err := New("")
	if err == nil {
		c.Alone()
		err = transform.Serve(c, workerBuild)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child makes a few variants of one file and prints a line for each: the fault's kind, or the format.
func child(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	c, err := New("")
	if err != nil {
		fmt.Println(err)
		return 2
	}
	lim := animationLimits(1)
	specs := []variant.Spec{
		{Width: 320, Format: variant.JPEG}, {Width: 320, Format: variant.WebP, Accepts: acceptWebP}, {Width: 100, Height: 100, Resize: variant.Fill, Format: variant.PNG},
		{Format: variant.JPEG, Accepts: acceptAny, Width: 5000},
	}
	err = c.Transform(variant.Original{Body: b}, specs, variant.StageFirst, lim, func(i int, img variant.Image, err error) {
		if err != nil {
			fmt.Println("fault", fault.KindOf(err))
			return
		}
		fmt.Println("made", img.Format, img.Width, img.Height, img.Frames)
		if bytes.Contains(img.Body, []byte("<script")) || bytes.Contains(img.Body, []byte("<html")) {
			fmt.Println("leaked")
		}
	})
	if err != nil {
		fmt.Println("fault", fault.KindOf(err))
	}
	fmt.Println(peakKiB())
	return 0
}

// peakKiB is this process's peak memory. If the parent read it, it would include the parent's own memory at the fork.
func peakKiB() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(after + " -1")[0])
	if err != nil {
		return -1
	}
	return n
}

// runChild transforms a file in a separate process. It fails the test if the process crashes, hangs, uses too much
// memory or writes to stderr.
func runChild(t *testing.T, path string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childFile+"="+path, "MALLOC_ARENA_MAX=1", "GORACE=atexit_sleep_ms=0")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("child: %v\n%s%s", err, out.String(), complaints.String())
	}
	if complaints.Len() > 0 {
		t.Errorf("stderr: %.500s", complaints.String())
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	peak, err := strconv.Atoi(lines[len(lines)-1])
	lines = lines[:len(lines)-1]
	if err != nil || peak > 400<<10 || cpu > 8*time.Second {
		t.Errorf("peak %d KiB (%v), CPU %v: not bounded", peak, err, cpu)
	}
	t.Logf("%d MiB, %v: %s", peak>>10, cpu.Round(time.Millisecond), strings.Join(lines, ", "))
	return lines
}

// The kinds that each class of the manifest may end in. A file that may succeed may also be refused for good reasons.
var (
	notImage = []string{"not_an_image", "unsupported_format"}
	broken   = []string{"decode_failed", "truncated_source", "not_an_image", "unsupported_format"}
	tooLarge = []string{"too_many_pixels", "too_many_frames"}
	refusals = slices.Concat(broken, tooLarge, []string{"too_costly", "result_too_large"})
)

func expected(class string) (kinds []string, mayWork bool) {
	switch {
	case class == "200":
		return nil, true
	case class == "4xx not-an-image":
		return notImage, false
	case class == "4xx broken":
		return broken, false
	case class == "4xx too-large":
		return tooLarge, false
	case class == "4xx too-large or broken":
		return slices.Concat(tooLarge, broken), false
	}
	return refusals, true
}

// TestHostileCorpus checks that every hostile file ends in a kind of its class, without a crash, a hang, an internal
// fault, or high memory use.
func TestHostileCorpus(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(string(readCorpus(t, "hostile", "MANIFEST.tsv"))), "\n")[1:]
	for _, row := range rows {
		f := strings.Split(row, "\t")
		name, class := f[0], f[4]
		t.Run(name, func(t *testing.T) {
			kinds, mayWork := expected(class)
			if bytes.HasPrefix(readCorpus(t, "hostile", name), []byte("%PDF")) {
				mayWork = true // transform.inputs leaves it out by default, not the codec: see TestErrors in e2e.
			}
			for _, line := range runChild(t, corpus(t, "hostile", name)) {
				verb, what, _ := strings.Cut(line, " ")
				switch {
				case verb == "made" && !mayWork, verb == "leaked":
					t.Errorf("%s, want %s", line, class)
				case verb == "fault" && !slices.Contains(kinds, what) && what != "result_too_large":
					t.Errorf("fault %s, want %s", what, class)
				case verb != "made" && verb != "fault" && verb != "leaked":
					t.Errorf("unexpected line %q", line)
				}
			}
		})
	}
}
