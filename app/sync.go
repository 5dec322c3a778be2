package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/natsqueue"
)

// errNotSynced says that a cluster acknowledges writes that are not on disk yet.
var errNotSynced = errors.New("NATS acknowledges before its disk has synced: units may be lost when all servers lose power")

// natsSyncs asks the monitoring port of a NATS server whether every write is synced before it is acknowledged.
func natsSyncs(ctx context.Context, monitor string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(monitor, "/")+"/varz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var now struct {
		JetStream struct {
			Config *struct {
				Always   bool          `json:"sync_always"`
				Interval time.Duration `json:"sync_interval"`
			} `json:"config"`
		} `json:"jetstream"`
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the monitoring port answered %s", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&now); err != nil {
		return fmt.Errorf("the monitoring port does not answer as NATS does: %w", err)
	}
	switch c := now.JetStream.Config; {
	case c == nil:
		return errors.New("JetStream is off on that server")
	case !c.Always:
		return fmt.Errorf("%w (sync_interval is %v)", errNotSynced, c.Interval)
	}
	return nil
}

// checkSync is doctor's check of the external cluster's acknowledgements.
func checkSync(ctx context.Context, cfg natsqueue.Config) Check {
	const name = "queue's disks"
	if cfg.Monitor == "" {
		return Check{Name: name, Unknown: true,
			Detail: "whether NATS syncs each write. To do: set prewarm.queue.monitor to a server's monitoring port, or see that sync_interval is always"}
	}
	return verdict(name, natsSyncs(ctx, cfg.Monitor), "NATS syncs each write before it acknowledges it",
		"set jetstream { sync_interval: always } on every NATS server, and compare prewarm.queue.monitor with its monitoring port")
}

// tellSync logs the result at the start.
func (a *App) tellSync(ctx context.Context) {
	cfg := a.live.Load().cfg.Prewarm.Queue
	switch {
	case cfg.NATS == "":
	case cfg.Monitor == "":
		a.log.Info("it is unknown whether NATS syncs each write: prewarm.queue.monitor is not set")
	default:
		if err := natsSyncs(ctx, cfg.Monitor); err != nil && ctx.Err() == nil {
			a.log.Warn("NATS may lose units that were acknowledged; set sync_interval: always", "error", err)
		}
	}
}
