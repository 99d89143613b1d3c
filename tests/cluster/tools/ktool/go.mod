module keyhole/testbed/ktool

go 1.26
