import http from "k6/http";
import { check } from "k6";

export default function () {
  check(http.get(__ENV.TARGET), { "status is 200": (answer) => answer.status === 200 });
}
