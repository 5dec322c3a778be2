package transform

func parent() {}
