package natsqueue

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// cluster starts a cluster of three NATS servers.
func cluster(t *testing.T) []*server.Server {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	var all []*server.Server
	for i, port := range ports {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: -1, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}, Routes: routes,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		all = append(all, s)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		for _, s := range all {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == 3 {
				return all
			}
		}
		<-tick.C
	}
	t.Fatal("the cluster finds no leader")
	return nil
}

// Jobs on two instances continue when a server of the cluster dies. Nothing is lost or counted twice.
func TestFault38PeerLost(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it starts three servers")
	}
	servers := cluster(t)
	addresses := ""
	for _, s := range servers {
		addresses += "," + s.ClientURL()
	}
	w := newWorld()
	var both []*instance
	for range 2 {
		q := open(t, "", func(c *Config) { c.NATS = addresses[1:] })
		if n := opened(t, q).tasks.CachedInfo().Config.Replicas; n != 3 {
			t.Fatalf("the stream has %d copies, want 3", n)
		}
		both = append(both, start(t, q, w, true, nil))
	}
	lost := servers[0]
	for _, s := range servers {
		if s.JetStreamIsStreamLeader("$G", ledgerStream) {
			lost = s // the hardest one to lose
		}
	}
	var jobs []string
	for n := range 12 {
		if n == 4 {
			lost.Shutdown()
		}
		jobs = append(jobs, accept(t, both[n%2], call(n*100, 40)).Job.ID)
	}
	for n, id := range jobs {
		j := ended(t, both[(n+1)%2], id)
		if j.State != ledger.Done || j.Counts.Made+j.Counts.Present != 80 {
			t.Errorf("the job %s came to %+v", id, j)
		}
		agree(t, both[n%2], j)
	}
}
