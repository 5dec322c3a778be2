package trust

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/client"
)

// check waits for the jobs and compares the results with the promises.
func (c *chaos) check(ctx context.Context, b *rig.Bench) error {
	c.count.fetches.Store(c.origin.calls.Load())
	api, err := c.api(0, 1000)
	if err != nil {
		return err
	}
	var verdicts []client.Verdict
	for _, j := range c.jobs {
		some, err := c.checkJob(ctx, api, j)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, some...)
	}
	c.count.fetches.Store(c.origin.calls.Load())
	c.checkCauses()
	c.Env = []string{"GOLDCREST_CACHE_STORE_LOOKUP=10s"} // What is stored is asked, not how fast this machine is.
	stored, err := c.storedOn(ctx, b)
	if err != nil {
		return err
	}
	c.checkVerdicts(verdicts, stored)
	if err := c.checkQuiet(ctx, api, stored); err != nil {
		return err
	}
	return c.checkEnd(ctx, b)
}

// checkJob waits for a job's end. Each variant must have one verdict, and the counts must match the verdicts.
func (c *chaos) checkJob(ctx context.Context, api *client.API, job chaosJob) (verdicts []client.Verdict, err error) {
	j, err := api.Wait(ctx, job.id, nil)
	if err != nil {
		return nil, fmt.Errorf("job %s did not end: %w", job.id, err)
	}
	states, rows := map[string]int{}, map[string]int{}
	for v, err := range api.Results(ctx, job.id, "") {
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, v)
		states[v.State]++
		rows[fmt.Sprint(v.Unit, " ", v.Pointer, " ", v.Name, " ", v.Format)]++
	}
	for row, n := range rows {
		if n != 1 {
			c.violation("job %s: variant %s has %d verdicts", job.id, row, n)
		}
	}
	n := j.Counts
	counts := map[string]int{"made": n.Made, "present": n.Present, "broken": n.Broken, "failed": n.Failed, "skipped": n.Skipped, "expired": n.Expired}
	for state, want := range counts {
		if states[state] != want {
			c.violation("job %s counts %d variants as %s, its results %d", job.id, want, state, states[state])
		}
	}
	if want := job.units * len(chaosVariants); len(rows) != want || n.Variants != want || n.Pending != 0 {
		c.violation("job %s: %d of %d variants have a verdict, %d by its counts, %d are pending", job.id, len(rows), want, n.Variants, n.Pending)
	}
	c.count.rows.Add(int64(len(rows)))
	return verdicts, nil
}

// checkCauses compares the number of fetches with their possible causes: a view that was no hit, or a try of a unit.
// Each may have failed once and been repeated at once.
func (c *chaos) checkCauses() {
	n := &c.count
	const tries = 8 // the number of pauses in the configuration, plus one
	if most := 2 * (n.misses.Load() + n.posted.Load()*tries); n.fetches.Load() > most {
		c.violation("%d fetches have no cause: there were %d", n.fetches.Load()-most, n.fetches.Load())
	}
}

// variantOf identifies a variant of a picture.
type variantOf struct {
	source, options string
}

// storedOn starts an instance and asks it which variants are stored.
func (c *chaos) storedOn(ctx context.Context, b *rig.Bench) (map[variantOf]bool, error) {
	r, err := b.StartInstance(ctx, c.Cluster, 0, fmt.Sprintf(chaosInstance, "proxy"))
	if err != nil {
		return nil, err
	}
	defer r.Stop()
	stored := map[variantOf]bool{}
	for _, s := range c.sources {
		for _, v := range chaosVariants {
			path, err := r.Path(s.url, v.Options)
			if err != nil {
				return nil, err
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+path, nil)
			if err != nil {
				return nil, err
			}
			req.Header.Set("Cache-Control", "only-if-cached")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return nil, err
			}
			_ = res.Body.Close()
			switch res.StatusCode {
			case http.StatusOK:
				stored[variantOf{s.url, v.Options}] = true
			case http.StatusGatewayTimeout:
			default:
				return nil, fmt.Errorf("%s only from the cache: status %d", s.url, res.StatusCode)
			}
		}
	}
	return stored, nil
}

// checkVerdicts compares the reported variants with the stored ones, unless a purge may have followed the verdict.
func (c *chaos) checkVerdicts(verdicts []client.Verdict, stored map[variantOf]bool) {
	byURL, options := map[string]*chaosSource{}, map[string]string{}
	for _, s := range c.sources {
		byURL[s.url] = s
	}
	for _, v := range chaosVariants {
		options[v.Name] = v.Options
	}
	for _, v := range verdicts {
		if v.State != "made" && v.State != "present" {
			continue
		}
		s := byURL[v.Source]
		if s == nil {
			c.violation("a verdict is about %s, which nobody posted", v.Source)
			continue
		}
		// A verdict is recorded a little after it was found.
		if quiet := s.quiet.Load(); quiet > 0 && v.At.UnixNano() < quiet+int64(10*time.Second) {
			c.count.unjudged.Add(1)
			continue
		}
		c.count.judged.Add(1)
		if !stored[variantOf{v.Source, options[v.Name]}] {
			c.violation("picture %d as %s was %s at %s and is not stored", s.n, v.Name, v.State, v.At.Format("15:04:05.000"))
		}
	}
}

// checkQuiet posts all pictures once more, without faults. A stored picture must need no fetch, any other one.
func (c *chaos) checkQuiet(ctx context.Context, api *client.API, stored map[variantOf]bool) error {
	call, lacking := client.Call{Return: "none", Variants: chaosVariants, Again: true}, 0
	for _, s := range c.sources {
		call.Units = append(call.Units, rig.UnitOf(s.n, s.url))
		for _, v := range chaosVariants {
			if !stored[variantOf{s.url, v.Options}] {
				lacking++
				break
			}
		}
	}
	before := c.origin.calls.Load()
	a, err := api.Prewarm(ctx, call)
	if err != nil {
		return err
	}
	j, err := api.Wait(ctx, a.Job, nil)
	if err != nil {
		return err
	}
	if want := len(c.sources) * len(chaosVariants); j.Counts.Made+j.Counts.Present != want {
		return fmt.Errorf("with nothing failing %d variants of %d are made or present: %+v", j.Counts.Made+j.Counts.Present, want, j.Counts)
	}
	c.count.wanted.Store(int64(j.Counts.Variants))
	c.count.quiet.Store(c.origin.calls.Load() - before)
	if n := c.count.quiet.Load(); n > int64(lacking) {
		c.violation("%d fetches with nothing failing, for %d pictures that were not wholly stored", n, lacking)
	}
	return nil
}

// checkEnd requests everything from an instance that has just started. All must be hits of the store, and none older
// than its last purge. The other instances do not wait for a slow store: beside its look-up they may fetch.
func (c *chaos) checkEnd(ctx context.Context, b *rig.Bench) error {
	r, err := b.StartInstance(ctx, c.Cluster, 0, fmt.Sprintf(chaosInstance, "proxy"))
	if err != nil {
		return err
	}
	defer r.Stop()
	before := c.origin.calls.Load()
	for i, r := range []*rig.Server{r, c.instances[0], c.instances[1]} {
		for _, s := range c.sources {
			version, status, err := c.look(ctx, r, s)
			if err != nil {
				return errors.Join(fmt.Errorf("picture %d at the end", s.n), err)
			}
			if floor := s.floor.Load(); version < floor {
				c.violation("picture %d, instance %d, at the end: version %d after the purge of %d had answered", s.n, i, version, floor)
			}
			c.checkHit(i, s, status)
			path, err := r.Path(s.url, chaosVariants[1].Options)
			if err != nil {
				return err
			}
			if _, status, err = r.Ask(ctx, path); err != nil {
				return err
			}
			c.checkHit(i, s, status)
		}
		if n := c.origin.calls.Load() - before; i == 0 && n > 0 {
			c.violation("%d fetches for hits", n)
		}
	}
	return nil
}

// checkHit checks the Cache-Status of a response at the end. The first one from the instance that has just started must
// be a hit of the store.
func (c *chaos) checkHit(i int, s *chaosSource, status string) {
	switch {
	case i == 0 && status != hitInStore, i > 0 && status != hitInStore && status != hitInMemory:
		c.violation("picture %d, instance %d, at the end: %s", s.n, i, status)
	case i == 0:
		c.count.stored.Add(1)
	}
}
