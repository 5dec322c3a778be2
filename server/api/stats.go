package api

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/server/exchange"
)

// Overview has the data about this instance.
type Overview struct {
	Version string                // of the program
	Started time.Time             // of the process
	Levels  func() metrics.Levels // the current state of the parts
	Totals  func() metrics.Totals // since the start
	// History returns the samples taken after a time, and all days.
	History func(since time.Time) ([]metrics.Sample, []metrics.Day)
	Config  func(io.Writer) error // the effective configuration as YAML, secrets masked
	Intakes Intakes               // nil = there are none
}

// statsAnswer is the response of GET /v1/stats.
type statsAnswer struct {
	Version string             `json:"version"`
	Uptime  int64              `json:"uptime_s"`
	Ready   bool               `json:"ready"`
	Levels  metrics.Levels     `json:"levels"`
	Totals  metrics.Totals     `json:"totals"`
	Errors  []exchange.Trouble `json:"errors"`  // of viewers, by code and host
	Prewarm *prewarm.Stats     `json:"prewarm"` // null: this instance has no queue
}

// stats is GET /v1/stats: the numbers of this instance.
func (s *API) stats(c echo.Context) error {
	o := s.deps.Overview
	now := s.Now()
	answer := statsAnswer{
		Version: o.Version, Uptime: int64(now.Sub(o.Started) / time.Second), Errors: s.Troubles(now), Ready: s.State.Ready() == nil,
		Levels: o.Levels(), Totals: o.Totals(),
	}
	if s.deps.Prewarm != nil {
		p, err := s.deps.Prewarm.Stats(c.Request().Context())
		if err != nil {
			return err
		}
		answer.Prewarm = &p
	}
	return c.JSON(http.StatusOK, answer)
}

// history is GET /v1/history: the last hour of this instance, step by step, and the days.
func (s *API) history(c echo.Context) error {
	since, err := s.since(c.QueryParam("since"))
	if err != nil {
		return err
	}
	samples, days := s.deps.Overview.History(since)
	return c.JSON(http.StatusOK, struct {
		Samples []metrics.Sample `json:"samples"`
		Days    []metrics.Day    `json:"days"`
	}{samples, days})
}

// config is GET /v1/config: the effective configuration, secrets masked.
func (s *API) config(c echo.Context) error {
	var text bytes.Buffer
	if err := s.deps.Overview.Config(&text); err != nil {
		return fault.New(fault.Internal, "api.config", "the configuration cannot be printed", err)
	}
	return c.Stream(http.StatusOK, "application/yaml", &text)
}
