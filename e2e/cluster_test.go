package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// A NATS server is lost, another hangs and leaders move, while two instances share jobs. Nothing is lost, and every
// variant counts once.
func TestFault38NatsCluster(t *testing.T) {
	const phases, perPhase = 4, 3
	b, peers, o := startS3(t), startNats(t), startOrigin(t)
	o.draw(t, phases*perPhase*batchUnits, 200*time.Millisecond)
	env := append(append(b.env(), drawnEnv...), "GOLDCREST_PREWARM_QUEUE_NATS="+natsURL(peers))
	instances := []*server{start(t, env...), start(t, env...)}
	var answers []accepted
	post := func() { // to both in turn; some of it is in work when it returns
		for range perPhase {
			n := len(answers)
			answers = append(answers, instances[n%2].insist(o, n))
		}
		time.Sleep(rand.N(300 * time.Millisecond))
	}

	post()
	killed := leader(t, peers, "GOLDCREST_TASKS")
	killed.kill()
	post()
	killed.start()
	killed.awaitHealth()
	stopped := leader(t, peers, "GOLDCREST_LEDGER")
	stopped.signal(syscall.SIGSTOP)
	post()
	time.Sleep(5 * time.Second)
	stopped.signal(syscall.SIGCONT)
	post()

	keys, twice := map[int][]string{}, 0
	for n, a := range answers {
		some, _ := instances[n%2].settled(a, n)
		maps.Copy(keys, some)
		if here, there := instances[n%2].ended(a.Job), instances[1-n%2].ended(a.Job); fmt.Sprint(here) != fmt.Sprint(there) {
			t.Errorf("batch %d: one instance says %v, the other %v", n, here, there)
		}
	}
	for i := range len(keys) {
		twice += o.count(drawnPath(i)) - 1
	}
	t.Logf("%d pictures, %d fetched a second time; the leader of tasks %s was killed, that of the ledger %s stopped", len(keys), twice, killed.name, stopped.name)
	for n, s := range instances {
		t.Logf("instance %d: %v variants judged", n, s.metric("goldcrest_prewarm_verdicts_total"))
	}
	start(t, append(env, patient)...).storedHits(o, answers)
}
