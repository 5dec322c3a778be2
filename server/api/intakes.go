package api

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
)

// Intakes controls the intakes. Implemented by intake.Door.
type Intakes interface {
	Stats() []intake.Stats
	SetPaused(ctx context.Context, name string, paused bool) error
}

var _ Intakes = (*intake.Door)(nil)

// intakesAnswer is the response of GET /v1/intakes.
type intakesAnswer struct {
	Intakes []intake.Stats `json:"intakes"`
}

// listIntakes is GET /v1/intakes: the intakes of this instance.
func (s *API) listIntakes(c echo.Context) error {
	answer := intakesAnswer{Intakes: []intake.Stats{}}
	if s.deps.Overview.Intakes != nil {
		answer.Intakes = s.deps.Overview.Intakes.Stats()
	}
	return c.JSON(http.StatusOK, answer)
}

// pauseIntake is POST /v1/intakes/{name}/pause and /resume: all instances stop or resume consuming messages.
func (s *API) pauseIntake(paused bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		all := s.deps.Overview.Intakes
		if all == nil {
			return fault.New(fault.NotFound, "api.pauseIntake", "this instance has no intakes", nil)
		}
		if err := all.SetPaused(c.Request().Context(), c.Param("name"), paused); err != nil {
			return err
		}
		return s.listIntakes(c)
	}
}
