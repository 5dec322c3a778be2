module github.com/goldcrest/goldcrest/e2e

go 1.26.0
