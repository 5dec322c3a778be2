package api

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/server/exchange"
)

// usageDays is the default number of days of /v1/usage.
const usageDays = 7

// usage is GET /v1/usage: the token's use and what remains; with admin that of every owner.
func (s *API) usage(c echo.Context) error {
	who, owner, days := exchange.CallOf(c).Who.Owner(), c.QueryParam("owner"), usageDays
	if !who.All && owner != "" && owner != who.Name {
		return fault.New(fault.ForbiddenScope, "api.usage",
			"the usage of other tokens is shown to the scope "+access.ScopeAdmin, nil)
	}
	if text := c.QueryParam("days"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > usage.MaxDays {
			return fault.New(fault.BadOption, "api.usage",
				fmt.Sprintf("days is not a number from 1 to %d", usage.MaxDays), nil)
		}
		days = n
	}
	all, err := s.deps.Prewarm.Usage(c.Request().Context(), who, owner, days)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		Usage []usage.Owner `json:"usage"`
	}{append([]usage.Owner{}, all...)})
}
