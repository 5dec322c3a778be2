package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Instances that share a queue share jobs and purges. A proxy accepts units that a worker processes, a worker serves no
// images, and a purge on one removes the picture from the memory and the store of the others.
func TestRolesAndPurgeOnEveryInstance(t *testing.T) {
	corpus(t)
	peers, o := startNats(t), startOrigin(t)
	env := append(slices.Clone(prewarmEnv), "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers))
	proxy := start(t, append(slices.Clone(env), "GOLDCREST_ROLES=[proxy]")...)
	worker := start(t, append(slices.Clone(env), "GOLDCREST_ROLES=[prewarm]")...)

	source := o.URL + "/photos/product-saw.jpg"
	a := proxy.prewarm("?tag=spring", `{"id":"du-1","photo":"`+source+`"}`)
	if j := worker.ended(a.Job); j.State != "done" || j.Counts["made"] != 1 {
		t.Fatalf("got %+v\n%s", j, worker.log)
	}
	path := urlPath(t, a.Units[0].Images[0].Variants[0].URL)
	if got := worker.get(path); got.StatusCode != 404 {
		t.Errorf("a worker answered an image with %d", got.StatusCode)
	}
	if got := worker.get("/health"); got.StatusCode != 200 {
		t.Errorf("a worker's health is %d", got.StatusCode)
	}
	// Each instance has a separate store here, so the proxy makes the picture itself.
	if got := proxy.get(path); got.StatusCode != 200 || o.total() != 2 {
		t.Fatalf("the proxy answered %d after %d fetches", got.StatusCode, o.total())
	}
	if got := proxy.get(path); got.Header.Get("Cache-Status") != "goldcrest; hit; detail=memory" {
		t.Errorf("again: %s", got.Header.Get("Cache-Status"))
	}
	var p answer
	tries := 0
	eventually(t, "the queue takes the purge", func() bool { // The response is 503 while it is too busy, for example while a cluster is new.
		tries++
		p = worker.call("POST", "/v1/purge", `{"tag":"spring"}`)
		return p.StatusCode != 503
	})
	if p.StatusCode != 200 || tries == 1 && !strings.Contains(string(p.body), `"purged":1`) {
		t.Errorf("purge: got %d %s", p.StatusCode, p.body)
	}
	eventually(t, "the other instance heard of the purge", func() bool {
		return proxy.get(path, "Cache-Control", "only-if-cached").StatusCode == 504
	})
	if got := proxy.metric("goldcrest_memory_entries"); got != 0 {
		t.Errorf("the proxy still has %v entries in memory", got)
	}
}

// A reload of a file without the shared queue reports that this needs a restart. Until then the instance accepts units
// for the others, works for them, and exchanges purges with them.
func TestReloadWithoutTheSharedQueue(t *testing.T) {
	corpus(t)
	peers, o, dir := startNats(t), startOrigin(t), t.TempDir()
	file, with := filepath.Join(dir, "config.yaml"), strings.Replace(configText(dir, ""), "queue: {dir:", "queue: {nats: '"+natsURL(peers)+"', dir:", 1)
	write(t, file, with)
	worker := start(t, append(slices.Clone(prewarmEnv), "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers), "GOLDCREST_ROLES=[prewarm]")...)
	s := startIn(t, dir, append(slices.Clone(prewarmEnv), "GOLDCREST_ROLES=[proxy]")...)

	write(t, file, configText(dir, ""))
	s.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the log names the key", func() bool { return strings.Contains(s.log.String(), `"keys":["prewarm.queue.nats"]`) })
	if shown := string(s.call("GET", "/v1/config", "").body); !strings.HasPrefix(shown, "# Changed since the start, in force after a restart: prewarm.queue.nats\n") {
		t.Errorf("/v1/config shows:\n%.300s", shown)
	}

	source := o.URL + "/photos/product-saw.jpg"
	made := func(unit string) (path string) {
		t.Helper()
		a := s.prewarm("", `{"id":"`+unit+`","photo":"`+source+`"}`)
		if j := worker.ended(a.Job); j.State != "done" || j.Counts["made"] != 1 {
			t.Fatalf("the worker says of a unit that the reloaded instance took: %+v\n%s", j, worker.log)
		}
		return urlPath(t, a.Units[0].Images[0].Variants[0].URL)
	}
	path := made("du-1")
	s.purge(`{"source":"` + source + `"}`)
	made("du-2") // Its variant is gone from the worker's store too.
	if got := s.get(path); got.StatusCode != 200 {
		t.Fatalf("got %d", got.StatusCode)
	}
	worker.purge(`{"source":"` + source + `"}`)
	eventually(t, "the reloaded instance hears of the worker's purge", func() bool {
		return s.get(path, "Cache-Control", "only-if-cached").StatusCode == 504
	})
}

// A proxy without a shared queue has no routes for Data Units, but purges work.
func TestProxyAlone(t *testing.T) {
	s := start(t, append(prewarmEnv, "GOLDCREST_ROLES=[proxy]")...)
	if a := s.call("POST", "/v1/prewarm", `{}`); a.StatusCode != 404 {
		t.Errorf("prewarm: got %d", a.StatusCode)
	}
	if a := s.call("POST", "/v1/purge", `{"source":"https://c.example/a.jpg"}`); a.StatusCode != 200 {
		t.Errorf("purge: got %d %s", a.StatusCode, a.body)
	}
	if a := s.call("GET", "/v1/stats", ""); a.StatusCode != 200 || !strings.Contains(string(a.body), `"prewarm":null`) {
		t.Errorf("stats: got %d %s", a.StatusCode, a.body)
	}
	if a := s.call("GET", "/v1/config", ""); a.StatusCode != 200 || strings.Contains(string(a.body), backendToken) || !strings.Contains(string(a.body), "***") {
		t.Errorf("config: got %d %s", a.StatusCode, a.body)
	}
}
