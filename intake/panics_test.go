package intake_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A panic leaves a line with its stack, which is what is reported. The message whose body causes it is a dead letter;
// after any other panic it comes again.
func TestPanicsAreLogged(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.calls.boom = true
		send(r, "m-1", good)
		if dead := r.broker.Dead(); len(dead) != 1 || dead[0].ID != "m-1" || r.meter.counts["dead"] != 1 {
			t.Errorf("the dead letters are %v, %v", dead, r.meter.counts)
		}
		r.calls.boom, r.meter.boom = false, true
		send(r, "m-2", good)
		time.Sleep(time.Minute) // of the bubble
		synctest.Wait()
		if len(r.calls.got) != 1 || r.meter.counts["known"] != 1 {
			t.Errorf("%d calls, %v; want one that is delivered again", len(r.calls.got), r.meter.counts)
		}
		lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("the log is\n%s", r.log.String())
		}
		for i, function := range []string{"(*calls).Accept", "(*meter).add"} {
			for _, want := range []string{"a bug", fmt.Sprint("message=m-", i+1), function} {
				if !strings.Contains(lines[i], want) {
					t.Errorf("%q is missing in %s", want, lines[i])
				}
			}
		}
	})
}
