package server

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm"
)

// usageDays is how many days /v1/usage tells of where the call does not say.
const usageDays = 7

// usage is GET /v1/usage: what the token has used and has left; to admin that of every owner.
func (s *Server) usage(c echo.Context) error {
	who, owner, days := callOf(c).who.owner(), c.QueryParam("owner"), usageDays
	if !who.All && owner != "" && owner != who.Name {
		return fault.New(fault.ForbiddenScope, "server.usage", "the usage of other tokens is shown to the scope "+ScopeAdmin, nil)
	}
	if text := c.QueryParam("days"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > prewarm.MaxUsageDays {
			return fault.New(fault.BadOption, "server.usage", fmt.Sprintf("days is not a number from 1 to %d", prewarm.MaxUsageDays), nil)
		}
		days = n
	}
	all, err := s.deps.Prewarm.Usage(c.Request().Context(), who, owner, days)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		Usage []prewarm.OwnerUsage `json:"usage"`
	}{append([]prewarm.OwnerUsage{}, all...)})
}
