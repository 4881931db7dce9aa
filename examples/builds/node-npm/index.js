const isOdd = require("is-odd");
console.log([1, 2, 3].filter((n) => isOdd(n)).join(" "), process.env.NODE_ENV);
