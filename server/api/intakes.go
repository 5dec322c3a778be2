package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
)

// Intakes controls the intakes. Implemented by intake.Door.
type Intakes interface {
	Stats() []intake.Stats
	Pause(name string) bool
	Resume(name string) bool
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

// pauseIntake is POST /v1/intakes/{name}/pause and /resume: this instance stops or resumes consuming messages.
func (s *API) pauseIntake(paused bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		known := false
		if all := s.deps.Overview.Intakes; all != nil {
			set := all.Resume
			if paused {
				set = all.Pause
			}
			known = set(c.Param("name"))
		}
		if !known {
			return fault.New(fault.NotFound, "api.pauseIntake", "this instance has no intake of that name", nil)
		}
		return s.listIntakes(c)
	}
}
