package e2e

import (
	"bytes"
	"image/color"
	"image/jpeg"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// changing is an origin with a picture that is red until it is changed to blue.
type changing struct {
	t       *testing.T
	source  string
	changed atomic.Bool
}

func startChanging(t *testing.T, o *origin) *changing {
	t.Helper()
	c := &changing{t: t, source: o.URL + "/changing.jpg"}
	red, blue := plain(t, color.RGBA{200, 0, 0, 255}), plain(t, color.RGBA{0, 0, 200, 255})
	o.on("/changing.jpg", func(w http.ResponseWriter, _ *http.Request) {
		body := red
		if c.changed.Load() {
			body = blue
		}
		w.Header().Set("Content-Type", "image/jpeg")
		w.Write(body)
	})
	return c
}

// path is the signed path of a variant.
func (c *changing) path() string { return signed("w:32/f:jpg", c.source) }

// isOld requests the picture from a server, and reports whether it is the old one.
func (c *changing) isOld(s *server) bool {
	c.t.Helper()
	a := s.get(c.path())
	img, err := jpeg.Decode(bytes.NewReader(a.body))
	if a.StatusCode != 200 || err != nil {
		c.t.Fatalf("got %d %s, %v", a.StatusCode, a.Header.Get("X-Error"), err)
	}
	red, _, blue, _ := img.At(16, 12).RGBA()
	return red > blue
}

// purge sends a purge until it is accepted, and returns how often it was refused.
func (s *server) purge(what string) (refused int) {
	s.t.Helper()
	within(s.t, time.Minute, "the purge is taken", func() bool {
		a := s.call("POST", "/v1/purge", what)
		if a.StatusCode != 200 && a.StatusCode != 503 {
			s.t.Fatalf("the purge: %d %s", a.StatusCode, a.body)
		}
		if a.StatusCode == 503 {
			refused++
		}
		return a.StatusCode == 200
	})
	return refused
}

// A write whose caller has given up arrives after the purge was answered. It is a miss for every instance: for one of
// several, and for a single one that was restarted meanwhile.
func TestFault41LateWrite(t *testing.T) {
	t.Run("two instances", func(t *testing.T) {
		b, peers, c := startS3(t), startNats(t), startChanging(t, startOrigin(t))
		env := append(append(b.env(), prewarmEnv...), "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers))
		one, two := start(t, env...), start(t, env...)
		lateWrite(t, b, c, one, func() []*server { return []*server{one, two, start(t, env...)} })
	})
	t.Run("restarted", func(t *testing.T) {
		b, c, dir := startS3(t), startChanging(t, startOrigin(t)), t.TempDir()
		env := append(b.env(), prewarmEnv...)
		s := startIn(t, dir, env...)
		lateWrite(t, b, c, s, func() []*server {
			s.kill()
			return []*server{startIn(t, dir, env...)}
		})
	})
}

func lateWrite(t *testing.T, b *s3, c *changing, s *server, then func() []*server) {
	land := b.proxy.delayWrites(t)
	if !c.isOld(s) {
		t.Fatal("the picture is not what it was")
	}
	eventually(t, "the caller has given up", func() bool {
		return s.metric("goldcrest_store_operations_total", `op="put"`, `outcome="error"`) > 0
	})
	c.changed.Store(true)
	s.purge(`{"source":"` + c.source + `"}`)
	instances := then()
	land()
	if n := len(b.objects(t)); n != 1 {
		t.Fatalf("%d objects, want the old one", n)
	}
	for i, s := range instances {
		for range 2 {
			if c.isOld(s) {
				t.Errorf("instance %d serves the old picture after its purge had answered", i)
			}
		}
	}
}

// A tag of 210 sources is purged while one of two instances is stopped for 4 s. What is made after the response is not
// deleted when that instance learns of the purge late.
func TestFault42TagPurgeBesideAStoppedInstance(t *testing.T) {
	const batches = 7
	b, peers, o := startS3(t), startNats(t), startOrigin(t)
	o.draw(t, batches*batchUnits, 0)
	b.proxy.slow.Store(int64(20 * time.Millisecond))
	env := append(append(b.env(), drawnEnv...), "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers))
	one, two := start(t, env...), start(t, env...)
	post := func() (answers []accepted) {
		for n := range batches {
			answers = append(answers, one.prewarm("?tag=spring", o.drawnBatch(n)))
		}
		for n, a := range answers {
			one.settled(a, n)
		}
		return answers
	}
	post()
	if n := len(b.objects(t)); n != 2*batches*batchUnits {
		t.Fatalf("%d objects are stored", n)
	}
	two.cmd.Process.Signal(syscall.SIGSTOP)
	goes := time.AfterFunc(4*time.Second, func() { two.cmd.Process.Signal(syscall.SIGCONT) })
	defer two.cmd.Process.Signal(syscall.SIGCONT)
	refused := one.purge(`{"tag":"spring"}`)
	if goes.Stop() {
		t.Error("the purge did not wait for the instance that stood still")
	}
	if n := len(b.objects(t)); n != 0 {
		t.Errorf("%d objects are left by the purge", n)
	}
	answers := post()
	t.Logf("%d variants made, the purge was refused %d times", 2*batches*batchUnits, refused)
	start(t, append(env, patient)...).storedHits(o, answers)
}

// One of two instances loses its NATS server. The other's purge is answered once the lost one no longer trusts its
// memory. From then on that one never serves the old picture: not while it is cut off, and not when it reconnects.
func TestFault44CutOffFromNats(t *testing.T) {
	conf := strings.Replace(readFile(t, "../deploy/compose/nats.conf"), "cluster {", "cluster {\n  no_advertise: true", 1)
	if !strings.Contains(conf, "no_advertise") {
		t.Fatal("the shipped configuration has no cluster section")
	}
	b, peers, c := startS3(t), startNatsWith(t, conf), startChanging(t, startOrigin(t))
	env := append(b.env(), prewarmEnv...)
	one := start(t, append(env, "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers[:2]))...)
	one.awaitQueue() // It leads.
	two := start(t, append(env, "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers[2:]))...)
	within(t, 30*time.Second, "both have the picture in memory", func() bool {
		if !c.isOld(one) || !c.isOld(two) {
			t.Fatal("the picture is not what it was")
		}
		return one.get(c.path()).Header.Get("Cache-Status") == "goldcrest; hit; detail=memory" &&
			two.get(c.path()).Header.Get("Cache-Status") == "goldcrest; hit; detail=memory"
	})
	peers[2].signal(syscall.SIGSTOP)
	defer peers[2].signal(syscall.SIGCONT)
	c.changed.Store(true)
	refused := one.purge(`{"source":"` + c.source + `"}`)
	check := func(when string) {
		for _, s := range []*server{one, two} {
			if c.isOld(s) {
				t.Errorf("%s an instance serves the old picture", when)
			}
		}
	}
	check("after the answer")
	within(t, 30*time.Second, "the instance knows that it is cut off", func() bool {
		check("cut off,")
		return strings.Contains(two.log.String(), "out of contact with the other instances")
	})
	peers[2].signal(syscall.SIGCONT)
	within(t, time.Minute, "the instance is in contact again", func() bool {
		check("on the way back,")
		return strings.Contains(two.log.String(), "in contact with the other instances again")
	})
	check("back again,")
	two.get(c.path()).want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	t.Logf("the purge was refused %d times", refused)
}
