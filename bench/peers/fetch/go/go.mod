module weft.example/bench/fetch

go 1.21
