package prewarm

// everyone sees all jobs, and the queries of those that these tests post.
var everyone = Caller{Name: "b", All: true}
