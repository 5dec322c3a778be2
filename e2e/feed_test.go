package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// feed runs the command prewarm until the server has the given number of jobs, and interrupts it. It must report what
// was made.
func (s *server) feed(jobs int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	cmd := exec.Command(binary, append([]string{"prewarm"}, args...)...)
	cmd.Env = append(os.Environ(), "GOLDCREST_URL="+s.admin, "GOLDCREST_TOKEN="+backendToken)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	within(s.t, time.Minute, "all jobs are there and done", func() bool {
		return bytes.Count(s.call("GET", "/v1/jobs?limit=1000", "").body, []byte(`"state":"done"`)) == jobs
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := <-ended; err != nil {
		s.t.Errorf("%v\n%s%s", err, &out, &errs)
	}
	return out.String(), errs.String()
}

// Later input is made too: files that appear in a directory, and messages of a queue, plain and from Celery.
func TestPrewarmFeeds(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, prewarmEnv...)
	dir := t.TempDir()
	for n, photo := range shopPhotos[:2] {
		text := fmt.Sprintf("{\"id\":\"u\",\"photo\":%q}\n", o.URL+"/photos/"+photo)
		write(t, filepath.Join(dir, fmt.Sprint(n, ".jsonl")), text)
	}
	s.feed(2, "-watch", dir)

	broker := startRabbit(t)
	newShop(t, broker).send(0, 3, o)
	_, told := s.feed(5, "-from", "amqp://guest:guest@"+broker.addr+"/?queue=prewarm")
	if strings.Contains(told, "guest") {
		t.Errorf("it tells the broker's password:\n%s", told)
	}
}
