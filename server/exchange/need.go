package exchange

import (
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
)

// Need admits only callers with one of the scopes, within the rate of their token.
func Need(a *access.Access, scopes ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			who, err := a.Identify(c.Request())
			if err != nil {
				return err
			}
			CallOf(c).Who = who
			if err := a.Take(who); err != nil {
				return err
			}
			if who.May(scopes...) {
				return next(c)
			}
			return fault.New(fault.ForbiddenScope, "exchange.Need",
				"this token lacks the scope "+strings.Join(scopes, " or "), nil)
		}
	}
}
