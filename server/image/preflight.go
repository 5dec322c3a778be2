package image

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// Preflight answers OPTIONS on any image path, without looking at it.
func (s *Door) Preflight(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Allow", publicMethods)
	if s.CORSOrigin(c.Request().Header.Get("Origin")) != "" && c.Request().Header.Get("Access-Control-Request-Method") != "" {
		h.Set("Access-Control-Allow-Methods", publicMethods)
		h.Set("Access-Control-Allow-Headers", "Accept, Cache-Control, ECT, If-Modified-Since, If-None-Match, If-Range, Range, Save-Data, X-Request-Id")
		h.Set("Access-Control-Max-Age", "86400")
	}
	return c.NoContent(http.StatusNoContent)
}

const publicMethods = "GET, HEAD, OPTIONS"
