package usage

import (
	"testing"
)

func TestQuotaValidate(t *testing.T) {
	if err := (Quota{UnitsQueued: 1, ImagesADay: 1}).Validate(); err != nil {
		t.Error(err)
	}
	for _, q := range []Quota{{UnitsQueued: -1}, {ImagesADay: -1}} {
		if q.Validate() == nil {
			t.Errorf("%+v is taken", q)
		}
	}
}
