package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// wipe deletes a dead peer's data.
func (p *natsPeer) wipe() {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(filepath.Dir(p.file), "data")); err != nil {
		p.t.Fatal(err)
	}
}

// The server starts while NATS is new and without quorum. Viewers are served. Prewarm calls are refused until there is
// a quorum, and then accepted. Later NATS loses all of its disks: the queue is created again, and the workers continue.
func TestFault51StartWithoutQuorum(t *testing.T) {
	peers, o := startNats(t), startOrigin(t)
	restart := func(some []*natsPeer) {
		for _, p := range some {
			p.kill()
			p.wipe()
		}
		for _, p := range some {
			p.start()
		}
	}
	for _, p := range peers {
		p.kill()
	}
	restart(peers[:1])
	o.draw(t, 2*batchUnits, 0)
	began := time.Now()
	s := start(t, append(drawnEnv, "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers))...)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the start took %v", took)
	}
	if a := s.get(signed("rs:fit:64:0/f:jpg", o.URL+drawnPath(0))); a.StatusCode != 200 {
		t.Errorf("a viewer got %d %s", a.StatusCode, a.body)
	}
	// The viewer has waited for the purges, or their limit.
	if a := s.do("GET", s.admin+"/readyz"); a.StatusCode != 200 {
		t.Errorf("/readyz: got %d %s", a.StatusCode, a.body)
	}
	a := s.call("POST", "/v1/prewarm", `{"photo":"`+o.URL+drawnPath(0)+`"}`)
	if after, err := strconv.Atoi(a.Header.Get("Retry-After")); a.StatusCode != 503 || a.Header.Get("X-Error") != "overloaded" || err != nil || after < 1 {
		t.Errorf("without a quorum: got %d %v %s", a.StatusCode, a.Header, a.body)
	}
	restart(peers[1:])
	s.settled(s.insist(o, 0), 0)

	restart(peers)
	s.settled(s.insist(o, 1), 1)
}

// A stop with running work while NATS hangs keeps to the drain time: it waits neither for acknowledgements nor for the
// cluster.
func TestFault54StopWhileNatsHangs(t *testing.T) {
	peers, o := startNats(t), startOrigin(t)
	o.draw(t, batchUnits, 200*time.Millisecond)
	s := start(t, append(drawnEnv, "GOLDCREST_SERVER_DRAIN=3s", "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers))...)
	s.insist(o, 0)
	for _, p := range peers {
		p.signal(syscall.SIGSTOP)
	}
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %v with a drain of 3 s", took)
	}
}
